/* checksums.json, and the one file `a` that it may name. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "wabun/checkpoint.h"
#include "wabun/comm.h"

static wb_comm_t *alone;

static void init (void) { FUZZ_MUST (wb_comm_alone (&alone)); }

static void run (const uint8_t *data, size_t n) {
    fuzz_part_t part[2] = {0};
    fuzz_split (part, 2, data, n);
    fuzz_write ("checksums.json", part[0].data, part[0].n);
    fuzz_write ("a", part[1].data, part[1].n);
    (void) fuzz_ok (wb_ckpt_verify (alone, "."));
}

static void seeds (void) {
    wb_buf_t b = {0};
    char *text = wb_format ("{\"algorithm\": \"xxh64\", \"block\": 2, \"files\": {\"a\": {\"bytes\": 3, \"blocks\": "
                            "[\"%016llx\", \"%016llx\"]}}}",
                            (unsigned long long) wb_hash64 ("ab", 2), (unsigned long long) wb_hash64 ("c", 1));
    fuzz_join (&b, text, strlen (text));
    fuzz_join (&b, "abc", 3);
    fuzz_seed ("whole", b.data, b.len);
    wb_buf_fini (&b);
    wb_free (text);
}

const fuzz_harness_t fuzz_checksums = {"checksums", init, run, seeds};
