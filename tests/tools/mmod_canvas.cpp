// Prints what dlib paints for tiny pictures, as tests/fixtures/mmod/tiny.json: for every upsample and
// width one FNV-1a hash (64 bits, over words) over the canvases of all heights that the network has room on.
// Levels of such pictures overlap, so that the order of reading and writing counts.
//   g++ -std=c++14 -O1 -DDLIB_NO_GUI_SUPPORT -I DLIB_SOURCE tests/tools/mmod_canvas.cpp -o canvas && ./canvas
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "dlib/array2d.h"
#include "dlib/image_transforms.h"
#include "dlib/pixel.h"

using namespace dlib;

const float MEANS[] = {122.782f, 117.001f, 104.298f};

struct Hash {
    std::uint64_t value = 0xcbf29ce484222325u;

    void add(std::uint32_t word) {
        value = (value ^ word) * 0x100000001b3u;
    }
};

rgb_pixel drawn(long x, long y) {
    return rgb_pixel((x * 37 + y * 11) % 256, (x * x + 3 * y) % 256, (x * 5 + y * y * 7) % 256);
}

int main() {
    const long size = 64;
    const char* comma = "[";
    for (int upsample = 0; upsample < 3; ++upsample) {
        for (long width = 1; width <= size; ++width) {
            Hash hash;
            long canvases = 0;
            for (long height = 1; height <= size; ++height) {
                array2d<rgb_pixel> picture(height, width);
                for (long y = 0; y < height; ++y)
                    for (long x = 0; x < width; ++x) picture[y][x] = drawn(x, y);
                for (int i = 0; i < upsample; ++i) pyramid_up(picture, pyramid_down<2>());
                // Below this width dlib places levels outside the canvas.
                if (picture.nc() < 10) continue;
                std::vector<rectangle> levels;
                long rows, columns;
                impl::compute_tiled_image_pyramid_details(pyramid_down<6>(), picture.nr(), picture.nc(),
                                                          10, 11, levels, rows, columns);
                if (rows < 29 || columns < 29) continue;
                std::vector<float> canvas(3 * rows * columns, 0);
                for (int c = 0; c < 3; ++c) {
                    float* plane = canvas.data() + c * rows * columns;
                    for (long y = 0; y < picture.nr(); ++y)
                        for (long x = 0; x < picture.nc(); ++x) {
                            const auto& p = picture[y][x];
                            const unsigned char value = c == 0 ? p.red : c == 1 ? p.green : p.blue;
                            plane[(levels[0].top() + y) * columns + levels[0].left() + x] =
                                (value - MEANS[c]) / 256.0;
                        }
                    // As tt::resize_bilinear does it on a CPU, plane by plane.
                    for (size_t i = 1; i < levels.size(); ++i) {
                        auto place = [&](const rectangle& r) {
                            return sub_image(plane + columns * r.top() + r.left(), r.height(),
                                             r.width(), columns);
                        };
                        auto from = place(levels[i - 1]), to = place(levels[i]);
                        resize_image(from, to);
                    }
                }
                ++canvases;
                hash.add(columns), hash.add(rows);
                for (long i = 0; i < rows * columns; ++i)
                    for (int c = 0; c < 3; ++c) {
                        std::uint32_t bits;
                        std::memcpy(&bits, &canvas[c * rows * columns + i], 4);
                        hash.add(bits);
                    }
            }
            std::printf("%s\n[%d, %ld, %ld, \"%016llx\"]", comma, upsample, width, canvases,
                        (unsigned long long)hash.value);
            comma = ",";
        }
    }
    std::puts("\n]");
}
