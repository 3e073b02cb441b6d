/* emoji.json of a new vocabulary: which characters and faces become which of the twelve tags.
 *
 * The characters are those with Unicode's property Emoji (version 14), sorted into classes by their names.  What is
 * usually a plain sign, such as U+2660, is an emoji only with the variation selector U+FE0F after it.  A key comes
 * before those that it contains, since encoders replace key after key in the order of the file.
 *
 * Not done here: families and other sequences joined by U+200D but for the signs of man and woman. */
#include "config.h"

#include <string.h>

#include "tokenizer/utf8.h"
#include "vocab/vocab_priv.h"

typedef struct range {
    uint32_t from, to;
    int16_t class;
    bool skin; /* a tone of skin may follow */
} range_t;

static const range_t emoji[] = {
    {0x231a, 0x231b, 10, 0},   {0x23e9, 0x23ec, 10, 0},   {0x23f0, 0x23f0, 10, 0},   {0x23f3, 0x23f3, 10, 0},
    {0x25fd, 0x25fe, 10, 0},   {0x2614, 0x2614, 8, 0},    {0x2615, 0x2615, 7, 0},    {0x2648, 0x2653, 10, 0},
    {0x267f, 0x267f, 10, 0},   {0x2693, 0x2693, 10, 0},   {0x26a1, 0x26a1, 8, 0},    {0x26aa, 0x26ab, 10, 0},
    {0x26bd, 0x26be, 9, 0},    {0x26c4, 0x26c5, 8, 0},    {0x26ce, 0x26ce, 10, 0},   {0x26d4, 0x26d4, 10, 0},
    {0x26ea, 0x26ea, 8, 0},    {0x26f2, 0x26f2, 8, 0},    {0x26f3, 0x26f3, 11, 0},   {0x26f5, 0x26f5, 8, 0},
    {0x26fa, 0x26fa, 8, 0},    {0x26fd, 0x26fd, 8, 0},    {0x2705, 0x2705, 10, 0},   {0x270a, 0x270b, 5, 1},
    {0x2728, 0x2728, 10, 0},   {0x274c, 0x274c, 10, 0},   {0x274e, 0x274e, 10, 0},   {0x2753, 0x2755, 10, 0},
    {0x2757, 0x2757, 10, 0},   {0x2795, 0x2797, 10, 0},   {0x27b0, 0x27b0, 10, 0},   {0x27bf, 0x27bf, 10, 0},
    {0x2b1b, 0x2b1c, 10, 0},   {0x2b50, 0x2b50, 8, 0},    {0x2b55, 0x2b55, 10, 0},   {0x1f004, 0x1f004, 9, 0},
    {0x1f0cf, 0x1f0cf, 9, 0},  {0x1f170, 0x1f171, 10, 0}, {0x1f17e, 0x1f17f, 10, 0}, {0x1f18e, 0x1f18e, 10, 0},
    {0x1f191, 0x1f19a, 10, 0}, {0x1f201, 0x1f202, 10, 0}, {0x1f21a, 0x1f21a, 10, 0}, {0x1f22f, 0x1f22f, 10, 0},
    {0x1f232, 0x1f23a, 10, 0}, {0x1f250, 0x1f251, 10, 0}, {0x1f300, 0x1f321, 8, 0},  {0x1f324, 0x1f32c, 8, 0},
    {0x1f32d, 0x1f330, 7, 0},  {0x1f331, 0x1f338, 6, 0},  {0x1f339, 0x1f339, 2, 0},  {0x1f33a, 0x1f33c, 6, 0},
    {0x1f33d, 0x1f33e, 5, 0},  {0x1f33f, 0x1f33f, 6, 0},  {0x1f340, 0x1f340, 2, 0},  {0x1f341, 0x1f344, 6, 0},
    {0x1f345, 0x1f34f, 7, 0},  {0x1f350, 0x1f350, 5, 0},  {0x1f351, 0x1f356, 7, 0},  {0x1f357, 0x1f357, 5, 0},
    {0x1f358, 0x1f374, 7, 0},  {0x1f375, 0x1f375, 5, 0},  {0x1f376, 0x1f37f, 7, 0},  {0x1f380, 0x1f384, 9, 0},
    {0x1f385, 0x1f385, 9, 1},  {0x1f386, 0x1f38b, 9, 0},  {0x1f38c, 0x1f38c, 11, 0}, {0x1f38d, 0x1f393, 9, 0},
    {0x1f396, 0x1f397, 9, 0},  {0x1f399, 0x1f39b, 9, 0},  {0x1f39e, 0x1f3c0, 9, 0},  {0x1f3c1, 0x1f3c1, 11, 0},
    {0x1f3c2, 0x1f3c4, 9, 1},  {0x1f3c5, 0x1f3c6, 9, 0},  {0x1f3c7, 0x1f3c7, 9, 1},  {0x1f3c8, 0x1f3c9, 9, 0},
    {0x1f3ca, 0x1f3cc, 9, 1},  {0x1f3cd, 0x1f3d3, 9, 0},  {0x1f3d4, 0x1f3e8, 8, 0},  {0x1f3e9, 0x1f3e9, 2, 0},
    {0x1f3ea, 0x1f3f0, 8, 0},  {0x1f3f3, 0x1f3f4, 11, 0}, {0x1f3f5, 0x1f3f5, 10, 0}, {0x1f3f7, 0x1f3fa, 10, 0},
    {0x1f400, 0x1f43a, 6, 0},  {0x1f43b, 0x1f43b, 5, 0},  {0x1f43c, 0x1f43c, 6, 0},  {0x1f43d, 0x1f43d, 5, 0},
    {0x1f43e, 0x1f43f, 6, 0},  {0x1f440, 0x1f441, 5, 0},  {0x1f442, 0x1f443, 5, 1},  {0x1f444, 0x1f445, 5, 0},
    {0x1f446, 0x1f449, 4, 1},  {0x1f44a, 0x1f450, 5, 1},  {0x1f451, 0x1f452, 4, 0},  {0x1f453, 0x1f453, 5, 0},
    {0x1f454, 0x1f465, 4, 0},  {0x1f466, 0x1f46a, 4, 1},  {0x1f46b, 0x1f46d, 5, 1},  {0x1f46e, 0x1f478, 4, 1},
    {0x1f479, 0x1f47b, 4, 0},  {0x1f47c, 0x1f47c, 4, 1},  {0x1f47d, 0x1f480, 4, 0},  {0x1f481, 0x1f483, 4, 1},
    {0x1f484, 0x1f484, 4, 0},  {0x1f485, 0x1f487, 4, 1},  {0x1f488, 0x1f48a, 9, 0},  {0x1f48b, 0x1f48c, 2, 0},
    {0x1f48d, 0x1f48e, 9, 0},  {0x1f48f, 0x1f48f, 2, 1},  {0x1f490, 0x1f490, 6, 0},  {0x1f491, 0x1f491, 2, 1},
    {0x1f492, 0x1f492, 9, 0},  {0x1f493, 0x1f49f, 2, 0},  {0x1f4a0, 0x1f4a1, 9, 0},  {0x1f4a2, 0x1f4a2, 10, 0},
    {0x1f4a3, 0x1f4a9, 9, 0},  {0x1f4aa, 0x1f4aa, 5, 1},  {0x1f4ab, 0x1f4c5, 9, 0},  {0x1f4c6, 0x1f4c6, 5, 0},
    {0x1f4c7, 0x1f4e9, 9, 0},  {0x1f4ea, 0x1f4ed, 11, 0}, {0x1f4ee, 0x1f4fd, 9, 0},  {0x1f4ff, 0x1f4ff, 9, 0},
    {0x1f500, 0x1f53d, 10, 0}, {0x1f549, 0x1f54e, 10, 0}, {0x1f550, 0x1f567, 10, 0}, {0x1f56f, 0x1f570, 9, 0},
    {0x1f573, 0x1f573, 9, 0},  {0x1f574, 0x1f575, 4, 1},  {0x1f576, 0x1f579, 4, 0},  {0x1f57a, 0x1f57a, 4, 1},
    {0x1f587, 0x1f587, 9, 0},  {0x1f58a, 0x1f58d, 9, 0},  {0x1f590, 0x1f590, 5, 1},  {0x1f595, 0x1f596, 5, 1},
    {0x1f5a4, 0x1f5a4, 2, 0},  {0x1f5a5, 0x1f5a5, 9, 0},  {0x1f5a8, 0x1f5a8, 9, 0},  {0x1f5b1, 0x1f5b2, 9, 0},
    {0x1f5bc, 0x1f5bc, 9, 0},  {0x1f5c2, 0x1f5c4, 9, 0},  {0x1f5d1, 0x1f5d3, 9, 0},  {0x1f5dc, 0x1f5de, 9, 0},
    {0x1f5e1, 0x1f5e1, 9, 0},  {0x1f5e3, 0x1f5e3, 9, 0},  {0x1f5e8, 0x1f5e8, 9, 0},  {0x1f5ef, 0x1f5ef, 9, 0},
    {0x1f5f3, 0x1f5f3, 9, 0},  {0x1f5fa, 0x1f5fa, 9, 0},  {0x1f5fb, 0x1f5ff, 8, 0},  {0x1f600, 0x1f60c, 1, 0},
    {0x1f60d, 0x1f60d, 2, 0},  {0x1f60e, 0x1f60e, 1, 0},  {0x1f60f, 0x1f612, 4, 0},  {0x1f613, 0x1f613, 3, 0},
    {0x1f614, 0x1f615, 4, 0},  {0x1f616, 0x1f616, 3, 0},  {0x1f617, 0x1f61a, 2, 0},  {0x1f61b, 0x1f61d, 1, 0},
    {0x1f61e, 0x1f629, 3, 0},  {0x1f62a, 0x1f62a, 4, 0},  {0x1f62b, 0x1f62b, 3, 0},  {0x1f62c, 0x1f62c, 4, 0},
    {0x1f62d, 0x1f62d, 3, 0},  {0x1f62e, 0x1f630, 4, 0},  {0x1f631, 0x1f631, 3, 0},  {0x1f632, 0x1f637, 4, 0},
    {0x1f638, 0x1f63a, 1, 0},  {0x1f63b, 0x1f63b, 2, 0},  {0x1f63c, 0x1f63c, 1, 0},  {0x1f63d, 0x1f63d, 2, 0},
    {0x1f63e, 0x1f641, 3, 0},  {0x1f642, 0x1f642, 1, 0},  {0x1f643, 0x1f644, 4, 0},  {0x1f645, 0x1f647, 5, 1},
    {0x1f648, 0x1f64a, 6, 0},  {0x1f64b, 0x1f64c, 5, 1},  {0x1f64d, 0x1f64e, 3, 1},  {0x1f64f, 0x1f64f, 5, 1},
    {0x1f680, 0x1f684, 8, 0},  {0x1f685, 0x1f685, 5, 0},  {0x1f686, 0x1f6a2, 8, 0},  {0x1f6a3, 0x1f6a3, 8, 1},
    {0x1f6a4, 0x1f6b3, 8, 0},  {0x1f6b4, 0x1f6b6, 8, 1},  {0x1f6b7, 0x1f6bf, 8, 0},  {0x1f6c0, 0x1f6c0, 8, 1},
    {0x1f6c1, 0x1f6c5, 8, 0},  {0x1f6cb, 0x1f6cb, 8, 0},  {0x1f6cc, 0x1f6cc, 8, 1},  {0x1f6cd, 0x1f6d2, 8, 0},
    {0x1f6d5, 0x1f6d7, 8, 0},  {0x1f6dd, 0x1f6e5, 8, 0},  {0x1f6e9, 0x1f6e9, 8, 0},  {0x1f6eb, 0x1f6ec, 8, 0},
    {0x1f6f0, 0x1f6f0, 8, 0},  {0x1f6f3, 0x1f6fc, 8, 0},  {0x1f7e0, 0x1f7eb, 10, 0}, {0x1f7f0, 0x1f7f0, 10, 0},
    {0x1f90c, 0x1f90c, 5, 1},  {0x1f90d, 0x1f90e, 2, 0},  {0x1f90f, 0x1f90f, 5, 1},  {0x1f910, 0x1f916, 4, 0},
    {0x1f917, 0x1f917, 1, 0},  {0x1f918, 0x1f918, 4, 1},  {0x1f919, 0x1f91e, 5, 1},  {0x1f91f, 0x1f91f, 2, 1},
    {0x1f920, 0x1f925, 4, 0},  {0x1f926, 0x1f926, 4, 1},  {0x1f927, 0x1f928, 4, 0},  {0x1f929, 0x1f92a, 1, 0},
    {0x1f92b, 0x1f92c, 4, 0},  {0x1f92d, 0x1f92d, 1, 0},  {0x1f92e, 0x1f92e, 3, 0},  {0x1f92f, 0x1f92f, 4, 0},
    {0x1f930, 0x1f939, 4, 1},  {0x1f93a, 0x1f93a, 4, 0},  {0x1f93c, 0x1f93e, 9, 1},  {0x1f93f, 0x1f945, 9, 0},
    {0x1f947, 0x1f949, 9, 0},  {0x1f94a, 0x1f94a, 2, 0},  {0x1f94b, 0x1f94f, 9, 0},  {0x1f950, 0x1f96f, 7, 0},
    {0x1f970, 0x1f970, 2, 0},  {0x1f971, 0x1f971, 4, 0},  {0x1f972, 0x1f973, 1, 0},  {0x1f974, 0x1f976, 4, 0},
    {0x1f977, 0x1f977, 10, 1}, {0x1f978, 0x1f978, 4, 0},  {0x1f979, 0x1f97a, 3, 0},  {0x1f97b, 0x1f97f, 10, 0},
    {0x1f980, 0x1f980, 6, 0},  {0x1f981, 0x1f981, 4, 0},  {0x1f982, 0x1f983, 6, 0},  {0x1f984, 0x1f984, 4, 0},
    {0x1f985, 0x1f989, 6, 0},  {0x1f98a, 0x1f98a, 4, 0},  {0x1f98b, 0x1f991, 6, 0},  {0x1f992, 0x1f993, 4, 0},
    {0x1f994, 0x1f9ae, 6, 0},  {0x1f9af, 0x1f9af, 10, 0}, {0x1f9b0, 0x1f9b4, 4, 0},  {0x1f9b5, 0x1f9b6, 5, 1},
    {0x1f9b7, 0x1f9b7, 4, 0},  {0x1f9b8, 0x1f9b9, 4, 1},  {0x1f9ba, 0x1f9ba, 4, 0},  {0x1f9bb, 0x1f9bb, 5, 1},
    {0x1f9bc, 0x1f9be, 4, 0},  {0x1f9bf, 0x1f9bf, 5, 0},  {0x1f9c0, 0x1f9cb, 7, 0},  {0x1f9cc, 0x1f9cc, 4, 0},
    {0x1f9cd, 0x1f9cf, 4, 1},  {0x1f9d0, 0x1f9d0, 4, 0},  {0x1f9d1, 0x1f9dd, 4, 1},  {0x1f9de, 0x1f9df, 4, 0},
    {0x1f9e0, 0x1f9e0, 9, 0},  {0x1f9e1, 0x1f9e1, 2, 0},  {0x1f9e2, 0x1f9e3, 9, 0},  {0x1f9e4, 0x1f9e4, 2, 0},
    {0x1f9e5, 0x1f9f7, 9, 0},  {0x1f9f8, 0x1f9f8, 5, 0},  {0x1f9f9, 0x1f9ff, 9, 0},  {0x1fa70, 0x1fa74, 9, 0},
    {0x1fa78, 0x1fa7c, 9, 0},  {0x1fa80, 0x1fa86, 9, 0},  {0x1fa90, 0x1faac, 9, 0},  {0x1fab0, 0x1faba, 6, 0},
    {0x1fac0, 0x1fac0, 2, 0},  {0x1fac1, 0x1fac2, 4, 0},  {0x1fac3, 0x1fac5, 4, 1},  {0x1fad0, 0x1fad9, 7, 0},
    {0x1fae0, 0x1fae5, 4, 0},  {0x1fae6, 0x1fae7, 9, 0},  {0x1faf0, 0x1faf4, 5, 1},  {0x1faf5, 0x1faf5, 9, 1},
    {0x1faf6, 0x1faf6, 2, 1},
};

/* With U+FE0F only. */
static const range_t signs[] = {
    {0x203c, 0x203c, 10, 0}, {0x2049, 0x2049, 10, 0}, {0x2194, 0x2199, 10, 0}, {0x21a9, 0x21aa, 10, 0},
    {0x2328, 0x2328, 9, 0},  {0x23cf, 0x23cf, 10, 0}, {0x23ed, 0x23ef, 10, 0}, {0x23f1, 0x23f2, 9, 0},
    {0x23f8, 0x23fa, 10, 0}, {0x24c2, 0x24c2, 10, 0}, {0x25aa, 0x25ab, 10, 0}, {0x25b6, 0x25b6, 10, 0},
    {0x25c0, 0x25c0, 10, 0}, {0x25fb, 0x25fc, 10, 0}, {0x2600, 0x2604, 8, 0},  {0x260e, 0x260e, 9, 0},
    {0x2611, 0x2611, 10, 0}, {0x2618, 0x2618, 6, 0},  {0x261d, 0x261d, 5, 1},  {0x2620, 0x2620, 10, 0},
    {0x2622, 0x2623, 10, 0}, {0x2626, 0x2626, 10, 0}, {0x262a, 0x262a, 10, 0}, {0x262e, 0x262f, 10, 0},
    {0x2638, 0x2638, 10, 0}, {0x2639, 0x2639, 3, 0},  {0x263a, 0x263a, 1, 0},  {0x2640, 0x2640, 10, 0},
    {0x2642, 0x2642, 10, 0}, {0x265f, 0x2660, 9, 0},  {0x2663, 0x2663, 9, 0},  {0x2665, 0x2665, 2, 0},
    {0x2666, 0x2666, 9, 0},  {0x2668, 0x2668, 8, 0},  {0x267b, 0x267b, 10, 0}, {0x267e, 0x267e, 10, 0},
    {0x2692, 0x2692, 9, 0},  {0x2694, 0x2694, 9, 0},  {0x2695, 0x2695, 10, 0}, {0x2696, 0x2697, 9, 0},
    {0x2699, 0x2699, 9, 0},  {0x269b, 0x269c, 10, 0}, {0x26a0, 0x26a0, 10, 0}, {0x26a7, 0x26a7, 10, 0},
    {0x26b0, 0x26b1, 9, 0},  {0x26c8, 0x26c8, 8, 0},  {0x26cf, 0x26cf, 9, 0},  {0x26d1, 0x26d1, 9, 0},
    {0x26d3, 0x26d3, 9, 0},  {0x26e9, 0x26e9, 8, 0},  {0x26f0, 0x26f1, 8, 0},  {0x26f4, 0x26f4, 8, 0},
    {0x26f7, 0x26f9, 9, 0},  {0x2702, 0x2702, 9, 0},  {0x2708, 0x2708, 8, 0},  {0x2709, 0x2709, 9, 0},
    {0x270c, 0x270d, 5, 1},  {0x270f, 0x270f, 9, 0},  {0x2712, 0x2712, 9, 0},  {0x2714, 0x2714, 10, 0},
    {0x2716, 0x2716, 10, 0}, {0x271d, 0x271d, 10, 0}, {0x2721, 0x2721, 10, 0}, {0x2733, 0x2734, 10, 0},
    {0x2744, 0x2744, 8, 0},  {0x2747, 0x2747, 10, 0}, {0x2763, 0x2764, 2, 0},  {0x27a1, 0x27a1, 10, 0},
    {0x2934, 0x2935, 10, 0}, {0x2b05, 0x2b07, 10, 0}, {0x3030, 0x3030, 10, 0}, {0x303d, 0x303d, 10, 0},
    {0x3297, 0x3297, 10, 0}, {0x3299, 0x3299, 10, 0},
};

enum { FLAGS = 11, FACES = 12 };
/* What a tag is decoded to: [class - 1]. */
static const char *const shown[12] = {"\U0001f600", "\u2764\ufe0f", "\U0001f622", "\U0001f464",
                                      "\U0001f44d", "\U0001f436",   "\U0001f359", "\U0001f3e0",
                                      "\U0001f3b5", "\U0001f4a2",   "\U0001f38c", "(^_^)"};

/* Faces are (EYE MOUTH EYE). */
static const char *const eyes[][2] = {
    {"^", "^"},           {"\uff3e", "\uff3e"}, {"\u00b4", "\uff40"}, {"\u00b4\u30fb", "\u30fb\uff40"},
    {"\uff1b", "\uff1b"}, {";", ";"},           {"T", "T"},           {"\uff34", "\uff34"},
    {"\u2267", "\u2266"}, {"\u30fb", "\u30fb"}, {"\uff1e", "\uff1c"}, {"\u25cf", "\u25cf"},
    {"\uffe3", "\uffe3"}};
static const char *const mouths[] = {"_",      ".",      "-",      "o",      "^",      "\uff3f", "\u03c9",
                                     "\u2200", "\u25bd", "\u0414", "\u0434", "\u25c7", "\u76bf", ""};
static const char *const brackets[][2] = {{"(", ")"}, {"\uff08", "\uff09"}};

static wb_status put (wb_buf_t *b, const char *key, int class) {
    char tag[24];
    WB_TRY (wb_buf_put (b, "    \"", 5));
    WB_TRY (wb_buf_put (b, key, strlen (key)));
    return wb_buf_put (b, tag, (size_t) snprintf (tag, sizeof tag, "\": \"<|emoji%d|>\",\n", class));
}

/* Character c and what may follow it, the longest first. */
static wb_status put_character (wb_buf_t *b, uint32_t c, const range_t *r, bool alone) {
    static const char *const ends[] = {
        "\u200d\u2640\ufe0f", "\u200d\u2642\ufe0f", "\u200d\u2640", "\u200d\u2642", "\ufe0f", ""};
    static const char *const tones[] = {"\U0001f3fb", "\U0001f3fc", "\U0001f3fd", "\U0001f3fe", "\U0001f3ff"};
    char key[40], base[5] = "";
    base[wb_utf8_put (base, c)] = 0;
    for (int tone = r->skin ? 0 : 5; tone < 6; tone++)
        for (int end = r->skin ? 0 : 4; end < 6; end++) {
            if (tone == 5 && end == 5 && !alone) continue;
            snprintf (key, sizeof key, "%s%s%s", base, tone < 5 ? tones[tone] : "", ends[end]);
            WB_TRY (put (b, key, r->class));
        }
    return WB_OK;
}

static wb_status put_ranges (wb_buf_t *b, const range_t *ranges, size_t n, bool alone) {
    for (size_t i = 0; i < n; i++)
        for (uint32_t c = ranges[i].from; c <= ranges[i].to; c++) WB_TRY (put_character (b, c, &ranges[i], alone));
    return WB_OK;
}

static wb_status put_flags (wb_buf_t *b) {
    char key[9] = "";
    for (uint32_t x = 0; x < 26; x++)
        for (uint32_t y = 0; y < 26; y++) {
            wb_utf8_put (key, 0x1f1e6 + x);
            wb_utf8_put (key + 4, 0x1f1e6 + y);
            WB_TRY (put (b, key, FLAGS));
        }
    return WB_OK;
}

#define COUNT(a) (sizeof a / sizeof a[0])

static wb_status put_faces (wb_buf_t *b) {
    char key[40];
    for (size_t k = 0; k < COUNT (brackets); k++)
        for (size_t e = 0; e < COUNT (eyes); e++)
            for (size_t m = 0; m < COUNT (mouths); m++) {
                snprintf (key, sizeof key, "%s%s%s%s%s", brackets[k][0], eyes[e][0], mouths[m], eyes[e][1],
                          brackets[k][1]);
                WB_TRY (put (b, key, FACES));
            }
    return WB_OK;
}

bool wb_emoji_is_key (uint32_t c) {
    for (size_t i = 0; i < COUNT (emoji); i++)
        if (c >= emoji[i].from && c <= emoji[i].to) return true;
    return false;
}

wb_status wb_emoji_json (wb_buf_t *b) {
    static const char head[] = "{\n  \"emoji\": {\n", middle[] = "  },\n  \"emoji_inv\": {\n", end[] = "  }\n}\n";
    WB_TRY (wb_buf_put (b, head, sizeof head - 1));
    WB_TRY (put_faces (b));
    WB_TRY (put_flags (b));
    WB_TRY (put_ranges (b, emoji, COUNT (emoji), true));
    WB_TRY (put_ranges (b, signs, COUNT (signs), false));
    b->len -= 2; /* the last comma */
    WB_TRY (wb_buf_put (b, "\n", 1));
    WB_TRY (wb_buf_put (b, middle, sizeof middle - 1));
    for (int i = 1; i <= 12; i++) {
        char row[64];
        const int n = snprintf (row, sizeof row, "    \"<|emoji%d|>\": \"%s\"%s\n", i, shown[i - 1], i < 12 ? "," : "");
        WB_TRY (wb_buf_put (b, row, (size_t) n));
    }
    return wb_buf_put (b, end, sizeof end - 1);
}
