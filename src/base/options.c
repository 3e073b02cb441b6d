/* Command lines: a walk over argv, numbers, and the nearest known name for what is misspelt.
 *
 * No table of options: a command asks for the names it knows (wb_opts_is), and what it asked for is what a misspelt
 * option is compared with.  getopt_long() would print its own messages, on every rank, and abbreviate. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wabun/base.h"

/* ---- names ----------------------------------------------------------------------------------------------------- */

static int lower (char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '-' ? '_' : c; }
static int least (int a, int b) { return a < b ? a : b; }

int wb_edit_distance (const char *a, const char *b) {
    enum { MOST = 64 };
    int n = (int) strnlen (a, MOST), m = (int) strnlen (b, MOST);
    int rows[3][MOST + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= m; j++) before[j] = last[j] = j;
    for (int i = 1; i <= n; i++) {
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            bool same = lower (a[i - 1]) == lower (b[j - 1]);
            now[j] = least (last[j - 1] + !same, least (last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && lower (a[i - 1]) == lower (b[j - 2]) && lower (a[i - 2]) == lower (b[j - 1]))
                now[j] = least (now[j], before[j - 2] + 1);
        }
        int *spare = before;
        before = last, last = now, now = spare;
    }
    return last[m];
}

const char *wb_nearest (const char *name, const char *const *names, int n) {
    const char *best = NULL;
    int least_far = 1 + (int) strlen (name) / 3;
    for (int i = 0; i < n; i++) {
        int far = wb_edit_distance (name, names[i]);
        if (far < least_far || (far == least_far && best == NULL)) least_far = far, best = names[i];
    }
    return best;
}

const char *wb_shell_quote (char *buf, size_t bytes, const char *s) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    size_t n = 0, bare = 0;
    while (s[bare] != 0 && ((unsigned char) s[bare] >= 0x80 || strchr (plain, s[bare]) != NULL)) bare++;
    if (bare > 0 && s[bare] == 0) return s;
    if (4 * strlen (s) + 3 > bytes) return s;
    buf[n++] = '\'';
    for (; *s != 0; s++) {
        if (*s == '\'') /* ends the quotes, stands for itself, and begins them again */
            n += (size_t) snprintf (buf + n, bytes - n, "'\\''");
        else
            buf[n++] = *s;
    }
    buf[n++] = '\'';
    buf[n] = 0;
    return buf;
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

wb_status wb_opt_int (const char *name, const char *text, int64_t min, int64_t max, int64_t *out) {
    char *end;
    errno = 0;
    long long x = strtoll (text, &end, 10);
    if (end == text || *end != 0 || text[0] == ' ')
        return WB_FAIL (WB_EUSAGE, "%s wants a whole number, got `%s`", name, text);
    if (errno == ERANGE || x < min || x > max) {
        if (max == INT64_MAX && x < min)
            return WB_FAIL (WB_EUSAGE, "%s wants at least %lld, got %s", name, (long long) min, text);
        return WB_FAIL (WB_EUSAGE, "%s wants a whole number between %lld and %lld, got %s", name, (long long) min,
                        (long long) max, text);
    }
    *out = x;
    return WB_OK;
}

wb_status wb_opt_float (const char *name, const char *text, double min, double max, double *out) {
    char *end;
    double x = strtod (text, &end);
    if (end == text || *end != 0 || text[0] == ' ' || !isfinite (x))
        return WB_FAIL (WB_EUSAGE, "%s wants a number, got `%s`", name, text);
    if (x < min || x > max) {
        if (!isfinite (max)) return WB_FAIL (WB_EUSAGE, "%s wants at least %g, got %s", name, min, text);
        return WB_FAIL (WB_EUSAGE, "%s wants a number between %g and %g, got %s", name, min, max, text);
    }
    *out = x;
    return WB_OK;
}

/* ---- the walk -------------------------------------------------------------------------------------------------- */

wb_opts_t wb_opts_begin (int argc, char **argv) { return (wb_opts_t){.argv = argv, .argc = argc, .at = 0}; }

bool wb_opts_next (wb_opts_t *o) {
    o->at++;
    if (!o->files_only && o->at < o->argc && strcmp (o->argv[o->at], "--") == 0) o->files_only = true, o->at++;
    o->arg = o->at < o->argc ? o->argv[o->at] : NULL;
    return o->arg != NULL;
}

bool wb_opts_is_file (const wb_opts_t *o) { return o->files_only || o->arg[0] != '-' || o->arg[1] == 0; }

bool wb_opts_is (wb_opts_t *o, const char *name) {
    int known = 0;
    while (known < o->nasked && strcmp (o->asked[known], name) != 0) known++;
    if (known == o->nasked && o->nasked < (int) (sizeof o->asked / sizeof *o->asked)) o->asked[o->nasked++] = name;
    if (o->files_only) return false;
    size_t n = strlen (name);
    if (strncmp (o->arg, name, n) != 0) return false;
    return o->arg[n] == 0 || (o->arg[n] == '=' && name[1] == '-');
}

/* Bytes of the option's name alone. */
static int name_bytes (const wb_opts_t *o) { return (int) strcspn (o->arg, "="); }

wb_status wb_opts_text (wb_opts_t *o, const char **out) {
    const char *equals = o->arg[1] == '-' ? strchr (o->arg, '=') : NULL;
    if (equals != NULL)
        *out = equals + 1;
    else if (o->at + 1 < o->argc)
        *out = o->argv[++o->at];
    else
        return WB_FAIL (WB_EUSAGE, "%s wants a value", o->arg);
    return WB_OK;
}

wb_status wb_opts_int (wb_opts_t *o, int64_t *out, int64_t min, int64_t max) {
    char name[64];
    const char *text = NULL;
    snprintf (name, sizeof name, "%.*s", name_bytes (o), o->arg);
    WB_TRY (wb_opts_text (o, &text));
    return wb_opt_int (name, text, min, max, out);
}

wb_status wb_opts_float (wb_opts_t *o, double *out, double min, double max) {
    char name[64];
    const char *text = NULL;
    snprintf (name, sizeof name, "%.*s", name_bytes (o), o->arg);
    WB_TRY (wb_opts_text (o, &text));
    return wb_opt_float (name, text, min, max, out);
}

wb_status wb_opts_flag (wb_opts_t *o, bool *out) {
    if (o->arg[name_bytes (o)] == '=')
        return WB_FAIL (WB_EUSAGE, "%.*s takes no value, got `%s`", name_bytes (o), o->arg, strchr (o->arg, '=') + 1);
    *out = true;
    return WB_OK;
}

wb_status wb_opts_unknown (wb_opts_t *o) {
    if (wb_opts_is_file (o)) return WB_FAIL (WB_EUSAGE, "`%s` is one argument too many", o->arg);
    char name[64];
    snprintf (name, sizeof name, "%.*s", name_bytes (o), o->arg);
    const char *near = wb_nearest (name, o->asked, o->nasked);
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "unknown option %s; did you mean %s?", name, near);
    return WB_FAIL (WB_EUSAGE, "unknown option %s", name);
}
