/* Are the checkpoints of a run whole?  One line on the standard output for each thing that is wrong, one for each
 * directory that is good.
 *
 * Not done here: looking into files (checkpoint). */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "wabun/checkpoint.h"
#include "wabun/run.h"

static bool is_model (const char *dir) {
    return wb_file_is_in (dir, "config.json") || wb_file_is_in (dir, "state.json") ||
           wb_file_is_in (dir, "checksums.json") || wb_file_is_in (dir, "model.safetensors");
}

typedef struct lines {
    char *text[64]; /* owned; of more faults only the number is told */
    int n;
} lines_t;

static void keep (void *ctx, const char *text) {
    lines_t *l = ctx;
    if (l->n < (int) (sizeof l->text / sizeof *l->text)) l->text[l->n++] = wb_strdup (text);
}

/* *bad grows by 1 where something is wrong with dir, *unread where all of it is that files cannot be read. */
static wb_status verify (int *bad, int *unread, const char *dir, bool of_run) {
    lines_t lines = {0};
    wb_ckpt_check_t c = {.depth = WB_CKPT_NUMBERS, .checkpoint = of_run, .fault = keep, .ctx = &lines};
    char bytes[32];
    wb_status status = wb_ckpt_check (&c, dir);
    if (of_run && !wb_file_is_dir (dir)) { /* the run goes on, and removes its oldest ones */
        wb_info ("%s: removed by its run while it was looked at", dir);
        wb_error_clear ();
        status = WB_OK;
        c.faults = 0;
    } else if (status == WB_OK && c.faults == 0) {
        printf ("%s: good: %d file%s, %" PRId64 " tensor%s, %s%s\n", dir, c.files, wb_plural (c.files), c.tensors,
                wb_plural (c.tensors), wb_format_bytes (bytes, (double) c.bytes),
                c.sums ? "" : "; no checksums.json, so only the numbers were looked at");
    } else if (status == WB_OK) {
        for (int i = 0; i < lines.n; i++) printf ("%s\n", lines.text[i] != NULL ? lines.text[i] : dir);
        if (c.faults > lines.n) printf ("%s: and %d faults more\n", dir, c.faults - lines.n);
        ++*bad;
        *unread += c.unread == c.faults;
    }
    for (int i = 0; i < lines.n; i++) wb_free (lines.text[i]);
    return status == WB_OK ? wb_flush (stdout, "standard output") : status;
}

static wb_status verify_run (const char *run) {
    int64_t *steps;
    int n, bad = 0, unread = 0;
    WB_TRY (wb_ckpt_list_named (&steps, &n, run));
    wb_status status = WB_OK;
    if (n == 0)
        status = WB_FAIL (WB_EUSAGE, "%s: no model, no checkpoint and no run with checkpoints: name one of these", run);
    for (int i = 0; i < n && status == WB_OK; i++) {
        char *dir = wb_ckpt_path (run, steps[i]);
        status = dir != NULL ? verify (&bad, &unread, dir, true) : WB_NOMEM ("%s", run);
        wb_free (dir);
    }
    wb_free (steps);
    if (status == WB_OK && bad > unread)
        status = WB_FAIL (WB_EDATA, "%s: %d of %d checkpoints are damaged", run, bad, n);
    else if (status == WB_OK && bad > 0)
        status = WB_FAIL (WB_EIO, "%s: %d of %d checkpoints cannot be read", run, bad, n);
    return status;
}

wb_status wb_run_verify (const char *path) {
    int bad = 0, unread = 0;
    char *dir = wb_dir_latest (path);
    wb_status status = dir != NULL ? WB_OK : WB_NOMEM ("%s", path);
    if (status == WB_OK && !wb_file_is_dir (dir))
        status = wb_file_exists (dir) ? WB_FAIL (WB_EUSAGE,
                                                 "%s is a file: verify wants the directory that it is in: a model, a "
                                                 "checkpoint, or a run",
                                                 dir)
                                      : WB_FAIL (WB_EIO, "%s: no such directory", dir);
    else if (status == WB_OK && !is_model (dir))
        status = verify_run (dir);
    else if (status == WB_OK)
        status = verify (&bad, &unread, dir, false);
    if (status == WB_OK && bad > 0)
        status = unread > 0 ? WB_FAIL (WB_EIO, "%s cannot be read", dir) : WB_FAIL (WB_EDATA, "%s is damaged", dir);
    wb_free (dir);
    return status;
}
