// Records what a training step launches and replays it as one launch. Compiled into a library of its
// own that links nothing of CUDA: the program carries its bytes and opens it behind libtorch_cuda,
// where its symbols are found. Every function returns nullptr, or what went wrong as a string that
// the caller frees.
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace {
// Never nullptr, which would mean success.
char *copied(const char *text) {
  char *copy = strdup(text);
  if (!copy) std::abort();
  return copy;
}

template <class Body> char *guarded(Body body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception &error) {
    return copied(error.what());
  } catch (...) {
    return copied("CUDA threw something that is no std::exception");
  }
}

// Calls what may throw and goes on.
template <class Body> void regardless(Body body) noexcept {
  try {
    body();
  } catch (...) {
  }
}

// A recording and what is needed to take it back where it fails.
struct Recording : at::cuda::CUDAGraph {
  at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
  c10::DeviceIndex device = c10::cuda::current_device();
  at::Generator generator = at::cuda::detail::getDefaultCUDAGenerator(device);
  uint64_t seed = generator.current_seed();
  uint64_t offset = generator.get_offset();

  // LibTorch leaves three things as they are where a capture fails. Its generator goes on as if it
  // were recorded, and refuses to draw ("Offset increment outside graph capture"): a new state with
  // the old place takes over. Its allocator goes on to believe that something is recorded, and
  // returns no cached memory where that runs short. And the recording's memory is kept.
  void take_back() noexcept {
    regardless([&] {
      auto fresh = at::cuda::detail::createCUDAGenerator(device);
      fresh.set_current_seed(seed);
      fresh.set_offset(offset);
      generator.graphsafe_set_state(fresh.graphsafe_get_state());
    });
    using namespace c10::cuda::CUDACachingAllocator;
    regardless([&] { endAllocateToPool(device, pool); });
    // Else the destructor does it.
    if (!capture_ended_) regardless([&] { releasePool(device, pool); });
  }
};
} // namespace

extern "C" {
// Makes the device this thread's for good, and one of its streams in LibTorch's pool: a capture
// refuses the default stream. A thread that has one keeps it. Call it before the first tensor on the
// device is made; what runs by then is not awaited.
char *ncaers_cuda_stream(int device) {
  return guarded([&] {
    const auto index = static_cast<c10::DeviceIndex>(device);
    c10::cuda::set_device(index);
    if (c10::cuda::getCurrentCUDAStream(index) == c10::cuda::getDefaultCUDAStream(index)) {
      c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(false, index));
    }
  });
}

// Begins to record what this thread launches, and autograd's, which follows its stream; nothing runs.
// LibTorch registers the device's default generator by itself: seed it between replays, not here.
char *ncaers_graph_begin(Recording **out) {
  return guarded([&] {
    auto recording = std::make_unique<Recording>();
    // A recording has memory of its own: what launched steps left cached would be there twice.
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    try {
      // Only this thread: the one that cuts batches may pin memory meanwhile.
      recording->capture_begin(recording->pool, cudaStreamCaptureModeThreadLocal);
    } catch (...) {
      recording->take_back();
      throw;
    }
    *out = recording.release();
  });
}

// Ends the recording, whether the step in between succeeded or not.
char *ncaers_graph_end(Recording *recording) {
  return guarded([&] {
    try {
      recording->capture_end();
    } catch (...) {
      recording->take_back();
      throw;
    }
  });
}

// Queues the recorded step; nobody waits.
char *ncaers_graph_replay(Recording *recording) {
  return guarded([&] { recording->replay(); });
}

// Waits for the last replay, then gives the recording's memory back.
char *ncaers_graph_free(Recording *recording) {
  return guarded([&] {
    std::unique_ptr<Recording> owned(recording);
    c10::cuda::getCurrentCUDAStream().synchronize();
  });
}
}
