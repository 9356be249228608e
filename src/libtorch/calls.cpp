// The way from the bindings back into Rust. They call functions that tch defines in the program, and
// a program's functions are not found by name in a library that it opens: it tells where they are.
#include <cstddef>
#include <cstdint>

namespace {
void *const *calls = nullptr;

template <typename... Arguments> bool call(int which, Arguments... arguments) {
  return reinterpret_cast<bool (*)(Arguments...)>(calls[which])(arguments...);
}
} // namespace

extern "C" {
void ncaers_torch_calls(void *const *all) { calls = all; }

bool tch_write_stream_destructor(void *stream) { return call(0, stream); }
bool tch_write_stream_write(void *stream, const uint8_t *bytes, size_t size, size_t *written) {
  return call(1, stream, bytes, size, written);
}
bool tch_read_stream_destructor(void *stream) { return call(2, stream); }
bool tch_read_stream_stream_position(void *stream, uint64_t *at) { return call(3, stream, at); }
bool tch_read_stream_seek_start(void *stream, uint64_t to, uint64_t *at) {
  return call(4, stream, to, at);
}
bool tch_read_stream_seek_end(void *stream, int64_t to, uint64_t *at) {
  return call(5, stream, to, at);
}
bool tch_read_stream_read(void *stream, uint8_t *bytes, size_t size, size_t *read) {
  return call(6, stream, bytes, size, read);
}
}
