/* Status and error record.
 *
 * The function that decides an error fills the record of its thread; callers pass the status on and main() prints the
 * record once.  The first error is kept, because what follows it is usually its consequence.  Each thread has a record
 * of its own: two requests of a server that fail at the same time do not see each other's message, and no lock is
 * needed.  Who starts threads hands their records over where he joins them (wb_error_take, wb_error_put).
 *
 * Not done here: printing it and ending the process (end.c), agreement between ranks (comm). */
#include "config.h"

#include <stdatomic.h>
#include <string.h>

#include "base/base_priv.h"
#include "wabun/base.h"

static _Thread_local wb_error_t record = {.rank = -1};
_Thread_local bool wb_error_printed;
static _Atomic int32_t own_rank = -1;

/* Make `text` one printable line; one that was cut ends between two UTF-8 characters. */
static void tidy (char *text, bool cut) {
    size_t n = strlen (text);
    if (cut) {
        size_t start = n;
        while (start > 0 && ((unsigned char) text[start - 1] & 0xC0) == 0x80) start--;
        if (start > 0) {
            unsigned char lead = (unsigned char) text[start - 1];
            size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
            if (n - (start - 1) < want) text[start - 1] = 0;
        }
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ')) text[--n] = 0;
    for (char *p = text; *p; p++) {
        if ((unsigned char) *p < 0x20) *p = ' ';
    }
}

wb_status wb_error_set (wb_status code, const char *file, int line, const char *fmt, ...) {
    if (code == WB_OK) return WB_OK;
    if (record.status == WB_OK) {
        const char *base = strrchr (file, '/');
        memset (&record, 0, sizeof record);
        record.status = code;
        record.rank = own_rank;
        record.line = line;
        snprintf (record.file, sizeof record.file, "%s", base != NULL ? base + 1 : file);
        va_list ap;
        va_start (ap, fmt);
        int n = vsnprintf (record.text, sizeof record.text, fmt, ap);
        va_end (ap);
        tidy (record.text, n < 0 || (size_t) n >= sizeof record.text);
    }
    return (wb_status) record.status;
}

const wb_error_t *wb_error_get (void) { return &record; }

void wb_error_put (const wb_error_t *e) {
    if (e != &record) record = *e;
    record.file[sizeof record.file - 1] = 0;
    record.text[sizeof record.text - 1] = 0;
}

void wb_error_clear (void) {
    memset (&record, 0, sizeof record);
    record.rank = -1;
    wb_error_printed = false;
}

void wb_error_take (wb_error_t *out) {
    *out = record;
    wb_error_clear ();
}

void wb_error_rank (int rank) { own_rank = rank; }

const char *wb_status_name (wb_status code) {
    switch (code) {
    case WB_OK: return "done";
    case WB_EUSAGE: return "usage or configuration";
    case WB_EIO: return "file or network";
    case WB_ENOMEM: return "memory";
    case WB_EDATA: return "bad data";
    case WB_ENUMERIC: return "numbers went bad";
    case WB_ESTUCK: return "a job's starts get no further";
    case WB_ECLOSED: return "nobody reads the output";
    case WB_ESTOP: return "stopped on request";
    case WB_EHUNG: return "nothing moved any more, or a rank was lost";
    }
    return "unknown status";
}
