/* The table of harnesses, and what they have in common.
 *
 * One program holds them all: --harness=NAME chooses, --list names them, --seeds=DIR writes the seeds of one that are
 * made, not stored.  libFuzzer leaves arguments with two dashes alone. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "tokenizer/utf8.h"

#define FUZZ_ROW(name) &fuzz_##name,
const fuzz_harness_t *const fuzz_harnesses[] = {FUZZ_HARNESSES (FUZZ_ROW) NULL};

static const fuzz_harness_t *harness;
static char *work;
static const char *seeds;
const char *fuzz_input;

void fuzz_fail (const char *file, int line, const char *fmt, ...) {
    va_list ap;
    if (fuzz_input != NULL) fprintf (stderr, "%s\n", fuzz_input);
    fprintf (stderr, "%s:%d: ", file, line);
    va_start (ap, fmt);
    vfprintf (stderr, fmt, ap);
    va_end (ap);
    fputc ('\n', stderr);
    abort ();
}

bool fuzz_ok (wb_status status) {
    const wb_error_t *e = wb_error_get ();
    FUZZ_CHECK (e->status == (int32_t) status, "status %d, but the record says %d: %s", (int) status, (int) e->status,
                e->text);
    FUZZ_CHECK (status == WB_OK || e->text[0] != 0, "status %d without a message", (int) status);
    FUZZ_CHECK (status != WB_ENOMEM, "%s", e->text);
    wb_error_clear ();
    return status == WB_OK;
}

bool fuzz_utf8 (const char *s, size_t n) {
    size_t at;
    return n == 0 || wb_utf8_valid (s, n, &at);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void put_file (const char *path, const void *data, size_t n) {
    const int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK (fd >= 0 && wb_fd_write (fd, data, n, -1) == 0, "cannot write %s", path);
    close (fd);
}

void fuzz_write (const char *name, const void *data, size_t n) { put_file (name, data, n); }

char *fuzz_text (const uint8_t *data, size_t n) {
    char *s = wb_malloc (n + 1);
    FUZZ_CHECK (s != NULL, "out of memory");
    if (n > 0) memcpy (s, data, n);
    s[n] = 0;
    return s;
}

char *fuzz_read (size_t *n, const char *name) {
    char *data;
    FUZZ_MUST (wb_file_read (&data, n, name));
    return data;
}

const char *fuzz_source_path (const char *name) {
    static char path[4096];
    const char *top = getenv ("top_srcdir");
    FUZZ_CHECK (top != NULL && top[0] == '/', "top_srcdir is not set to the path of the source tree");
    snprintf (path, sizeof path, "%s/%s", top, name);
    return path;
}

int fuzz_split (fuzz_part_t *parts, int max, const uint8_t *data, size_t n) {
    const size_t cut = strlen (FUZZ_CUT);
    int count = 0;
    while (count + 1 < max) {
        const uint8_t *end = n >= cut ? memmem (data, n, FUZZ_CUT, cut) : NULL;
        if (end == NULL) break;
        parts[count++] = (fuzz_part_t){data, (size_t) (end - data)};
        n -= (size_t) (end - data) + cut;
        data = end + cut;
    }
    parts[count++] = (fuzz_part_t){data, n};
    return count;
}

void fuzz_join (wb_buf_t *out, const void *data, size_t n) {
    if (out->data != NULL) FUZZ_MUST (wb_buf_put (out, FUZZ_CUT, strlen (FUZZ_CUT)));
    FUZZ_MUST (wb_buf_put (out, data, n));
}

void fuzz_seed (const char *name, const void *data, size_t n) {
    char path[4096];
    snprintf (path, sizeof path, "%s/%s", seeds, name);
    put_file (path, data, n);
}

/* ---- drivers ----------------------------------------------------------------------------------------------------- */

static void leave (void) {
    (void) !chdir ("/");
    if (wb_dir_remove (work) != WB_OK) fprintf (stderr, "fuzz: %s: cannot be removed\n", work);
}

static void enter (void) {
    const char *tmp = getenv ("TMPDIR");
    char path[4096];
    snprintf (path, sizeof path, "%s/wabun-fuzz-XXXXXX", tmp != NULL ? tmp : "/tmp");
    FUZZ_CHECK (mkdtemp (path) != NULL && chdir (path) == 0, "cannot make a directory in %s", path);
    work = strdup (path);
    atexit (leave);
}

/* A broken invariant: libFuzzer must see it. */
static void on_abort (int code) {
    (void) code;
    abort ();
}

void fuzz_begin (const fuzz_harness_t *h) {
    harness = h;
    wb_log_init (WB_LOG_QUIET, false);
    wb_abort_hook (on_abort);
    enter ();
    if (h->init != NULL) h->init ();
}

void fuzz_make_seeds (const char *dir) {
    seeds = dir;
    if (harness->seeds != NULL) harness->seeds ();
}

int LLVMFuzzerInitialize (int *argc, char ***argv) {
    const char *name = "", *dir = NULL;
    for (int i = 1; i < *argc; i++) {
        const char *arg = (*argv)[i];
        char *path = arg[0] != '-' ? realpath (arg, NULL) : NULL; /* the working directory will be another */
        if (path != NULL) (*argv)[i] = path;
        if (strncmp (arg, "--harness=", 10) == 0) name = arg + 10;
        if (strncmp (arg, "--seeds=", 8) == 0) dir = realpath (arg + 8, NULL);
        if (strcmp (arg, "--list") != 0) continue;
        for (int k = 0; fuzz_harnesses[k] != NULL; k++) puts (fuzz_harnesses[k]->name);
        exit (0);
    }
    int k = 0;
    while (fuzz_harnesses[k] != NULL && strcmp (fuzz_harnesses[k]->name, name) != 0) k++;
    if (fuzz_harnesses[k] == NULL) {
        fprintf (stderr, "fuzz: --harness=NAME is missing, or none of those that --list prints\n");
        exit (2);
    }
    fuzz_begin (fuzz_harnesses[k]);
    if (dir == NULL) return 0;
    fuzz_make_seeds (dir);
    exit (0);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t n) {
    const int64_t blocks = wb_mem_balance ();
    harness->run (data, n);
    FUZZ_CHECK (wb_mem_balance () == blocks, "%lld blocks were not freed", (long long) (wb_mem_balance () - blocks));
    FUZZ_CHECK (wb_error_get ()->status == WB_OK, "an error nobody returned: %s", wb_error_get ()->text);
    return 0;
}
