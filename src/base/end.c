/* The end of a program: its error record printed, broken invariants, leaks.
 *
 * Nothing of it is in the library of tokenizers, which neither prints nor ends a process (quiet.c).
 *
 * Not done here: the record itself (status.c), messages (log.c). */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/base_priv.h"
#include "wabun/base.h"

static void (*abort_hook) (int code);
static const char *usage_hint;

void wb_error_hint (const char *hint) { usage_hint = hint; }

void wb_error_print (void) {
    const wb_error_t *e = wb_error_get ();
    if (e->status == WB_OK || e->status == WB_ECLOSED || wb_error_printed) return;
    wb_error_printed = true;
    const char *hint = e->status == WB_EUSAGE && usage_hint != NULL ? usage_hint : "", *end = hint[0] != 0 ? "\n" : "";
    if (e->rank >= 0)
        wb_log_say ("wabun: rank %d: %s\n%s%s", (int) e->rank, e->text, hint, end);
    else
        wb_log_say ("wabun: %s\n%s%s", e->text, hint, end);
}

void wb_abort_hook (void (*hook) (int code)) { abort_hook = hook; }

void wb_abort (const char *file, int line, const char *fmt, ...) {
    const char *base = strrchr (file, '/');
    va_list ap;
    fflush (stdout);
    char text[WB_ERROR_TEXT];
    va_start (ap, fmt);
    vsnprintf (text, sizeof text, fmt, ap);
    va_end (ap);
    wb_log_say ("wabun: %s [%s:%d]\n", text, base != NULL ? base + 1 : file, line);
    if (abort_hook != NULL) {
        void (*hook) (int) = abort_hook;
        abort_hook = NULL; /* a hook that fails must not end up here again */
        hook (WB_ABORT_CODE);
    }
    _Exit (WB_ABORT_CODE);
}

int wb_int (int64_t x) {
    if (x < INT32_MIN || x > INT32_MAX)
        wb_abort (__FILE__, __LINE__, "%lld does not fit the int that BLAS and MPI take", (long long) x);
    return (int) x;
}

#ifdef WB_DEBUG
__attribute__ ((destructor)) static void tell_leaks (void) {
    int64_t left = wb_mem_balance ();
    if (left != 0)
        fprintf (stderr, "wabun: debug: %lld blocks, %zu bytes never freed\n", (long long) left, wb_mem_now ());
}
#endif
