/* expect: 2 - texts for tests/cli/corpus.sh: make_corpus DIR N makes DIR/base.jsonl with N documents of random
 * characters and, of a twentieth of them each, copies: DIR/near.jsonl with a Jaccard similarity of 0.8 to 0.95,
 * DIR/far.jsonl with 0.3 to 0.5, DIR/same.jsonl with other blanks.  Run without arguments it says so. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "wabun/base.h"

enum { CHARS = 1200, NGRAM = 5 };

static uint32_t random_char (uint64_t i) {
    const uint64_t r = wb_rng_u64 (3, 1, i);
    return r % 5 < 3 ? 0x3042 + (uint32_t) (r >> 8) % 80 : 0x4e00 + (uint32_t) (r >> 8) % 2000;
}

static void make_text (uint32_t *c, uint64_t document) {
    for (int i = 0; i < CHARS; i++) c[i] = i % 31 == 30 ? 0x3002 : random_char (document * CHARS + (uint64_t) i);
}

/* Change characters at equal distances: each is in NGRAM n-grams. */
static void change (uint32_t *c, double similarity, uint64_t document) {
    const double share = (1 - similarity) / (1 + similarity) / NGRAM;
    for (double at = 2; at < CHARS; at += 1 / share)
        c[(int) at] = random_char (((uint64_t) 1 << 40) + document * CHARS + (uint64_t) at);
}

static void put (FILE *f, const char *kind, uint64_t document, const uint32_t *c, bool blanks) {
    fprintf (f, "{\"id\": \"%s-%lld\", \"text\": \"", kind, (long long) document);
    for (int i = 0; i < CHARS; i++) {
        fprintf (f, "%c%c%c", (int) (0xe0 | c[i] >> 12), (int) (0x80 | (c[i] >> 6 & 0x3f)),
                 (int) (0x80 | (c[i] & 0x3f)));
        if (i % 62 == 61) fputs (blanks ? "\\n\\n" : "\\n", f);
    }
    fputs ("\"}\n", f);
}

int main (int argc, char **argv) {
    static const char *const names[] = {"base", "near", "far", "same"};
    static uint32_t c[CHARS];
    FILE *f[4];
    char path[512];
    if (argc != 3) {
        fputs ("make_corpus DIR N\n", stderr);
        return 2;
    }
    const int64_t n = strtoll (argv[2], NULL, 10);
    for (int i = 0; i < 4; i++) {
        snprintf (path, sizeof path, "%s/%s.jsonl", argv[1], names[i]);
        if ((f[i] = fopen (path, "wb")) == NULL) return 3;
    }
    for (int64_t d = 0; d < n; d++) {
        make_text (c, (uint64_t) d);
        put (f[0], names[0], (uint64_t) d, c, false);
        if (d % 20 != 0) continue;
        put (f[3], names[3], (uint64_t) d, c, true);
        const double u = (double) (d / 20) / (double) (n / 20 > 1 ? n / 20 - 1 : 1);
        change (c, 0.8 + 0.15 * u, (uint64_t) d);
        put (f[1], names[1], (uint64_t) d, c, false);
        make_text (c, (uint64_t) d);
        change (c, 0.3 + 0.2 * u, (uint64_t) d + (1 << 20));
        put (f[2], names[2], (uint64_t) d, c, false);
    }
    for (int i = 0; i < 4; i++)
        if (fclose (f[i]) != 0) return 3;
    return 0;
}
