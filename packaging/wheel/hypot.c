/* glibc 2.35 gave hypot a new version that differs in nothing we need; a program bound to it starts on no older system.
   Linked with --wrap=hypot,--wrap=hypotf, this binds to the version that every glibc for x86-64 has. */
__asm__(".symver old_hypot,hypot@GLIBC_2.2.5");
__asm__(".symver old_hypotf,hypotf@GLIBC_2.2.5");
extern double old_hypot(double, double);
extern float old_hypotf(float, float);
double __wrap_hypot(double x, double y) { return old_hypot(x, y); }
float __wrap_hypotf(float x, float y) { return old_hypotf(x, y); }
