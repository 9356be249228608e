// Prints where dlib places the levels of its tiled pyramid, as tests/fixtures/mmod/layouts.json:
//   g++ -std=c++14 -DDLIB_NO_GUI_SUPPORT -I DLIB_SOURCE tests/tools/mmod_layout.cpp -o layout && ./layout
#include <cstdio>

#include "dlib/image_transforms/image_pyramid.h"

int main() {
    const long sizes[][2] = {{10, 7},    {10, 20},    {11, 7},     {12, 29},   {29, 12},
                             {37, 37},   {59, 61},    {60, 60},    {61, 59},   {64, 48},
                             {80, 80},   {97, 131},   {100, 8},    {5000, 7},  {13, 900},
                             {320, 240}, {353, 288},  {512, 512},  {640, 360}, {712, 400},
                             {1426, 801}, {2854, 1603}, {1920, 1080}, {3842, 2161}, {1666, 1136}};
    dlib::pyramid_down<6> pyramid;
    const char* comma = "[";
    for (auto& size : sizes) {
        std::vector<dlib::rectangle> levels;
        long rows, columns;
        dlib::impl::compute_tiled_image_pyramid_details(
            pyramid, size[1], size[0], 10, 11, levels, rows, columns);
        std::printf("%s\n{\"picture\": [%ld, %ld], \"canvas\": [%ld, %ld], \"levels\": [", comma,
                    size[0], size[1], columns, rows);
        comma = "";
        for (auto& l : levels) {
            std::printf("%s[%ld, %ld, %ld, %ld]", comma, l.left(), l.top(), l.right(), l.bottom());
            comma = ", ";
        }
        std::printf("]}");
        comma = ",";
    }
    std::puts("\n]");
}
