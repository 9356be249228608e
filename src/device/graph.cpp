// Records what a training step launches and replays it as one launch. Compiled into a library of its
// own that links nothing of CUDA: the program carries its bytes and opens it behind libtorch_cuda,
// where its symbols are found. Every function returns nullptr, or what went wrong as a string that
// the caller frees.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace {
using Graph = at::cuda::CUDAGraph;

// Never nullptr, which would mean success.
char *told(const char *text) {
  char *copy = strdup(text);
  if (!copy) std::abort();
  return copy;
}

template <class Body> char *guarded(Body body) {
  try {
    body();
    return nullptr;
  } catch (const std::exception &error) {
    return told(error.what());
  } catch (...) {
    return told("CUDA threw something that is no std::exception");
  }
}
} // namespace

extern "C" {
// Makes a stream of LibTorch's pool this thread's stream for good: a capture refuses the default
// one. Call it before the first tensor on the device is made; what runs by then is not awaited.
char *ncaers_cuda_stream(int device) {
  return guarded([&] {
    const auto index = static_cast<c10::DeviceIndex>(device);
    c10::cuda::CUDAGuard guard(index);
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(false, index));
  });
}

// Begins to record what this thread launches, and autograd's, which follows its stream; nothing runs.
// LibTorch registers the device's default generator by itself: seed it between replays, not here.
char *ncaers_graph_begin(Graph **out) {
  return guarded([&] {
    auto graph = std::make_unique<Graph>();
    // Only this thread: the one that cuts batches may pin memory meanwhile.
    graph->capture_begin(at::cuda::MempoolId_t{0, 0}, cudaStreamCaptureModeThreadLocal);
    *out = graph.release();
  });
}

// Ends the recording, whether the step in between succeeded or not.
char *ncaers_graph_end(Graph *graph) {
  return guarded([&] { graph->capture_end(); });
}

// Queues the recorded step; nobody waits.
char *ncaers_graph_replay(Graph *graph) {
  return guarded([&] { graph->replay(); });
}

// Waits for the last replay, then gives the graph's memory back.
char *ncaers_graph_free(Graph *graph) {
  return guarded([&] {
    c10::cuda::getCurrentCUDAStream().synchronize();
    delete graph;
  });
}
}
