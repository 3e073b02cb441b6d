/* wabun - fuzzing: what harnesses have in common.
 *
 * A harness gives bytes to one reader, as if a file held them, and checks what must be true whatever they are: no error
 * without a message, nothing left over, results inside their bounds, what was read comes out again.  AddressSanitizer
 * and UndefinedBehaviorSanitizer check the rest.  A new harness is a file and a name in FUZZ_HARNESSES.
 *
 * Files a reader opens are made in a directory of this process, which is its working directory as well. */
#ifndef WABUN_FUZZ_H
#define WABUN_FUZZ_H

#include "wabun/base.h"

/* One harness. */
typedef struct fuzz_harness {
    const char *name;
    void (*init) (void); /* once, NULL: nothing to do; what it holds is never freed */
    void (*run) (const uint8_t *data, size_t n);
    void (*seeds) (void); /* calls fuzz_seed(); NULL: files in tests/fuzz/seeds only */
} fuzz_harness_t;
/* All there are: X (NAME) has fuzz_NAME. */
/* clang-format off */
#define FUZZ_HARNESSES(X) \
    X (encode) X (library) X (spiece) X (decode) X (vocabulary) X (swe) X (jsonl) X (charset) \
    X (records) X (json) X (plain) X (aozora) X (html) X (wiki) X (clean) X (corpus) X (tokens) \
    X (model) X (safetensors) X (checksums) X (state) X (hf) X (gguf) X (config) X (torch) \
    X (pickle) X (llmc) X (npz) X (tf) X (table) X (request)
/* clang-format on */
#define FUZZ_DECLARE(name) extern const fuzz_harness_t fuzz_##name;
FUZZ_HARNESSES (FUZZ_DECLARE)
extern const fuzz_harness_t *const fuzz_harnesses[]; /* ends with NULL */

/* Get ready for inputs of a harness; once a process. */
void fuzz_begin (const fuzz_harness_t *h);
/* Write its seeds into a directory. */
void fuzz_make_seeds (const char *dir);
/* What libFuzzer calls, and driver.c, which is there without it. */
int LLVMFuzzerInitialize (int *argc, char ***argv);
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t n);

/* The file that is run, for messages; NULL: not known. */
extern const char *fuzz_input;

/* Something is not as it must be: say what and end the process, so that libFuzzer keeps the input. */
#define FUZZ_CHECK(cond, ...) ((cond) ? (void) 0 : fuzz_fail (__FILE__, __LINE__, __VA_ARGS__))
void fuzz_fail (const char *file, int line, const char *fmt, ...) WB_PRINTF (3, 4) WB_NORETURN;
/* Is it WB_OK?  Checks that an error has a record with a message, and that it is not want of memory: inputs are small,
 * so some number in one was believed. */
bool fuzz_ok (wb_status status);

/* Write a file of the working directory. */
void fuzz_write (const char *name, const void *data, size_t n);
/* A copy that a 0 byte follows; freed with wb_free(). */
char *fuzz_text (const uint8_t *data, size_t n);
/* Bytes of a file of the working directory, or of the source tree, which must be there; freed with wb_free(). */
char *fuzz_read (size_t *n, const char *name);
const char *fuzz_source_path (const char *name); /* static, until the next call */
/* An input of several files has lines of FUZZ_CUT between them.  The parts there are, at most `max`. */
#define FUZZ_CUT "\n%%%%%%%%\n"
typedef struct fuzz_part {
    const uint8_t *data;
    size_t n;
} fuzz_part_t;
int fuzz_split (fuzz_part_t *parts, int max, const uint8_t *data, size_t n);
/* Join what is to be one input of several parts. */
void fuzz_join (wb_buf_t *out, const void *data, size_t n);
/* A seed of the present harness. */
void fuzz_seed (const char *name, const void *data, size_t n);

/* What a status of a call that cannot fail here is. */
#define FUZZ_MUST(expr) FUZZ_CHECK (fuzz_ok (expr), "%s", #expr)
/* Is it UTF-8? */
#define FUZZ_UTF8(s, n) FUZZ_CHECK (fuzz_utf8 ((s), (n)), "not UTF-8 in %s", #s)
bool fuzz_utf8 (const char *s, size_t n);

#endif
