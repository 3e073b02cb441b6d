/* Command lines: a walk over argv, numbers, and words as a shell takes them.
 *
 * There is no table of options: a command asks for the names it knows (wb_opts_is), and a misspelt option is compared
 * with the names that were asked for.  getopt_long() would print its own messages, on every rank, and abbreviate. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wabun/base.h"

/* ---- quotes ---------------------------------------------------------------------------------------------------- */

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

/* A Japanese keyboard writes ４０. */
static const char *digits (const char *text) {
    for (; *text != 0; text++)
        if ((unsigned char) *text >= 0x80) return ": type it in half-width digits";
    return "";
}

wb_status wb_opt_int (int64_t *out, const char *name, const char *text, int64_t min, int64_t max) {
    char *end;
    errno = 0;
    long long x = strtoll (text, &end, 10);
    if (end == text || *end != 0 || text[0] == ' ')
        return WB_FAIL (WB_EUSAGE, "%s wants a whole number, got `%s`%s", name, text, digits (text));
    if (errno == ERANGE || x < min || x > max) {
        if (max == INT64_MAX && x < min)
            return WB_FAIL (WB_EUSAGE, "%s wants at least %lld, got %s", name, (long long) min, text);
        return WB_FAIL (WB_EUSAGE, "%s wants a whole number between %lld and %lld, got %s", name, (long long) min,
                        (long long) max, text);
    }
    *out = x;
    return WB_OK;
}

wb_status wb_opt_float (double *out, const char *name, const char *text, double min, double max) {
    char *end;
    double x = strtod (text, &end);
    if (end == text || *end != 0 || text[0] == ' ' || !isfinite (x))
        return WB_FAIL (WB_EUSAGE, "%s wants a number, got `%s`%s", name, text, digits (text));
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

/* Bytes of the option's name, without a value. */
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
    return wb_opt_int (out, name, text, min, max);
}

wb_status wb_opts_float (wb_opts_t *o, double *out, double min, double max) {
    char name[64];
    const char *text = NULL;
    snprintf (name, sizeof name, "%.*s", name_bytes (o), o->arg);
    WB_TRY (wb_opts_text (o, &text));
    return wb_opt_float (out, name, text, min, max);
}

wb_status wb_opts_flag (wb_opts_t *o, bool *out) {
    if (o->arg[name_bytes (o)] == '=')
        return WB_FAIL (WB_EUSAGE, "%.*s takes no value, got `%s`", name_bytes (o), o->arg, strchr (o->arg, '=') + 1);
    *out = true;
    return WB_OK;
}

/* What other programs call an option of this command. */
static const char *other_name (const wb_opts_t *o, const char *name) {
    static const char *const names[][2] = {
        {"--length", "--max-length"},
        {"--max-tokens", "--max-length"},
        {"--max-new-tokens", "--max-length"},
        {"--prompt", "--context"},
        {"--text", "--context"},
        {"--n", "--num-generate"},
        {"--num-samples", "--num-generate"},
        {"--output", "-o"},
        {"--input-file", "--input"},
        {"--vocab", "--tokenizer"},
        {"--checkpoint", "--model"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int k = 0; k < o->nasked && strcmp (names[i][0], name) == 0; k++)
            if (strcmp (names[i][1], o->asked[k]) == 0) return names[i][1];
    return NULL;
}

wb_status wb_opts_unknown (wb_opts_t *o) {
    if (wb_opts_is_file (o)) return WB_FAIL (WB_EUSAGE, "`%s` is one argument too many", o->arg);
    char name[64];
    snprintf (name, sizeof name, "%.*s", name_bytes (o), o->arg);
    const char *near = other_name (o, name);
    if (near == NULL) near = wb_nearest (name, o->asked, o->nasked);
    if (near != NULL) return WB_FAIL (WB_EUSAGE, "unknown option %s; did you mean %s?", name, near);
    return WB_FAIL (WB_EUSAGE, "unknown option %s", name);
}

int64_t wb_env_number (const char *name) {
    const char *s = getenv (name);
    char *end;
    if (s == NULL || *s < '0' || *s > '9') return -1;
    int64_t n = strtoll (s, &end, 10);
    return *end == 0 ? n : -1;
}
