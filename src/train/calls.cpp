// Counts the operations of LibTorch by name while they are watched, for the tests and measurements
// that hold the number of launches of a step. Only the outermost of nested launching operations is
// counted: `_foreach_add_` over fifty tensors is one call, however the CPU carries it out.
#include <ATen/record_function.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>

namespace {
struct Watch {
  std::mutex mutex;
  std::set<std::string> outermost;
  std::map<std::string, long> counts;
  at::CallbackHandle handle = at::INVALID_CALLBACK_HANDLE;
};
Watch watch;
// How many of the operations that hide what is inside them are open on this thread.
thread_local int hidden = 0;

struct Hides : at::ObserverContext {};

bool takes_number(const at::RecordFunction &call) {
  try {
    for (const auto &input : call.inputs())
      if (input.isTensor() && input.toTensor().defined() && input.toTensor().dim() == 0 &&
          (input.toTensor().unsafeGetTensorImpl()->is_wrapped_number() ||
           input.toTensor().scalar_type() == at::kDouble))
        return true;
  } catch (const c10::Error &) {
    // Some calls do not tell what they take.
  }
  return false;
}

std::unique_ptr<at::ObserverContext> entered(const at::RecordFunction &call) {
  const std::string name = call.name();
  if (name.rfind("aten::", 0) != 0 || hidden > 0) return nullptr;
  std::lock_guard<std::mutex> lock(watch.mutex);
  const std::string own = name.substr(6);
  // A number that the CPU turns into a tensor is an argument of the kernel on CUDA.
  const bool number = takes_number(call);
  ++watch.counts[number && (own == "copy_" || own == "_to_copy" || own == "to") ? "number:" + own : own];
  if (watch.outermost.count(own) == 0) return nullptr;
  ++hidden;
  return std::make_unique<Hides>();
}

void left(const at::RecordFunction &, at::ObserverContext *context) {
  if (context) --hidden;
}

// Text that the caller frees. Without the few bytes for it nothing can be told, and a failure must not
// pass for success.
char *message(const char *what) {
  char *copy = strdup(what);
  if (!copy) std::abort();
  return copy;
}
} // namespace

extern "C" {
// `outermost`: names, separated by blanks, of operations that hide what they call.
char *ncaers_calls_start(const char *outermost) {
  try {
    std::lock_guard<std::mutex> lock(watch.mutex);
    if (watch.handle != at::INVALID_CALLBACK_HANDLE) return message("the calls are watched already");
    watch.outermost.clear();
    watch.counts.clear();
    std::istringstream names(outermost);
    for (std::string name; names >> name;) watch.outermost.insert(name);
    watch.handle = at::addThreadLocalCallback(at::RecordFunctionCallback(&entered, &left)
                                             .needsInputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
    return nullptr;
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("LibTorch threw something that is no std::exception");
  }
}

// Stops, and puts lines `name count` into `out`, which the caller frees.
char *ncaers_calls_stop(char **out) {
  try {
    std::lock_guard<std::mutex> lock(watch.mutex);
    if (watch.handle == at::INVALID_CALLBACK_HANDLE) return message("the calls are not watched");
    at::removeCallback(watch.handle);
    watch.handle = at::INVALID_CALLBACK_HANDLE;
    std::ostringstream lines;
    for (const auto &[name, count] : watch.counts) lines << name << ' ' << count << '\n';
    *out = message(lines.str().c_str());
    return nullptr;
  } catch (const std::exception &error) {
    return message(error.what());
  } catch (...) {
    return message("LibTorch threw something that is no std::exception");
  }
}
}
