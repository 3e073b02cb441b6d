/* Values to text: the resolved configuration, and the help and manual page of the table. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_priv.h"

/* ---- the resolved configuration ---------------------------------------------------------------------------------- */

static wb_status put_str (wb_buf_t *b, const char *s) { return wb_buf_put (b, s, strlen (s)); }

static wb_status put_quoted (wb_buf_t *b, const char *s) {
    WB_TRY (put_str (b, "\""));
    for (; *s != 0; s++) {
        char esc[8];
        if (*s == '"' || *s == '\\')
            snprintf (esc, sizeof esc, "\\%c", *s);
        else if ((unsigned char) *s < 0x20)
            snprintf (esc, sizeof esc, "\\x%02x", (unsigned) *s);
        else
            snprintf (esc, sizeof esc, "%c", *s);
        WB_TRY (put_str (b, esc));
    }
    return put_str (b, "\"");
}

/* The shortest text that reads back as the same number. */
static wb_status put_number (wb_buf_t *b, double x) {
    char text[40] = "";
    if (x == floor (x) && fabs (x) < 1e6) snprintf (text, sizeof text, "%.0f", x);
    for (int digits = 1; digits <= 17 && text[0] == 0; digits++) {
        snprintf (text, sizeof text, "%.*g", digits, x);
        if (strtod (text, NULL) != x && digits < 17) text[0] = 0;
    }
    if (strpbrk (text, ".e") == NULL) strcat (text, ".0");
    return put_str (b, text);
}

static wb_status put_parts (wb_buf_t *b, const wb_option_parts_t *p) {
    WB_TRY (put_str (b, "("));
    for (int i = 0; i < p->n; i++) {
        WB_TRY (put_str (b, i > 0 ? ",\n        { tokens = " : "\n        { tokens = "));
        WB_TRY (put_quoted (b, p->list[i].name));
        WB_TRY (put_str (b, "; weight = "));
        WB_TRY (put_number (b, p->list[i].weight));
        WB_TRY (put_str (b, "; }"));
    }
    return put_str (b, "\n    )");
}

static wb_status put_value (wb_buf_t *b, const wb_option_t *o, const void *field);
static bool is_given (const wb_option_t *o, const void *field);

static wb_status put_groups (wb_buf_t *b, const wb_option_t *o, const wb_option_groups_t *g) {
    WB_TRY (put_str (b, "("));
    for (int i = 0; i < g->n; i++) {
        WB_TRY (put_str (b, i > 0 ? ",\n    {" : "\n    {"));
        for (const wb_option_t *m = o->members; m->path != NULL; m++) {
            const void *field = (const char *) g->list + (size_t) i * o->member_bytes + m->offset;
            if (!is_given (m, field)) continue;
            WB_TRY (put_str (b, " "));
            WB_TRY (put_str (b, m->path));
            WB_TRY (put_str (b, " = "));
            WB_TRY (put_value (b, m, field));
            WB_TRY (put_str (b, ";"));
        }
        WB_TRY (put_str (b, " }"));
    }
    return put_str (b, "\n)");
}

/* Has the field a value that could be written? */
static bool is_given (const wb_option_t *o, const void *field) {
    if (o->kind == WB_OPTION_TEXT) return *(char *const *) field != NULL;
    if (o->kind == WB_OPTION_CHOICE) return wb_field_int (o, field) >= 0;
    if (wb_option_has_default (o)) return true;
    if (o->kind == WB_OPTION_FLOAT) return !isnan (*(const double *) field);
    return o->kind != WB_OPTION_INT || wb_field_int (o, field) != 0;
}

static wb_status put_value (wb_buf_t *b, const wb_option_t *o, const void *field) {
    char number[32];
    switch (o->kind) {
    case WB_OPTION_INT: {
        long long x = wb_field_int (o, field);
        for (int i = 0; o->choices != NULL && o->choices[i] != NULL; i++)
            if (i == x) return put_quoted (b, o->choices[i]);
        snprintf (number, sizeof number, "%lld%s", x, x > INT32_MAX ? "L" : ""); /* for other readers of libconfig */
        return put_str (b, number);
    }
    case WB_OPTION_FLOAT: return put_number (b, *(const double *) field);
    case WB_OPTION_BOOL: return put_str (b, *(const bool *) field ? "true" : "false");
    case WB_OPTION_TEXT: return put_quoted (b, *(char *const *) field);
    case WB_OPTION_CHOICE: return put_quoted (b, o->choices[wb_field_int (o, field)]);
    case WB_OPTION_PARTS: return put_parts (b, field);
    case WB_OPTION_GROUPS: return put_groups (b, o, field);
    }
    return WB_OK;
}

static wb_status put_option (wb_buf_t *b, const wb_option_t *o, const void *field) {
    if (!is_given (o, field)) return WB_OK;
    WB_TRY (put_str (b, wb_path_group_bytes (o->path) > 0 ? "    " : ""));
    WB_TRY (put_str (b, wb_path_leaf (o->path)));
    WB_TRY (put_str (b, " = "));
    WB_TRY (put_value (b, o, field));
    return put_str (b, ";\n");
}

wb_status wb_table_text (wb_buf_t *b, const wb_table_t *t, const void *c) {
    wb_row_t r, next;
    const char *before = "";
    for (int i = 0; wb_table_row (&r, t, i); i++) {
        const char *path = r.o->path;
        size_t n = wb_path_group_bytes (path);
        if (n > 0 && strncmp (before, path, n + 1) != 0) {
            WB_TRY (wb_buf_put (b, path, n));
            WB_TRY (put_str (b, " = {\n"));
        }
        WB_TRY (put_option (b, r.o, wb_row_value (&r, c)));
        if (n > 0 && !(wb_table_row (&next, t, i + 1) && strncmp (next.o->path, path, n + 1) == 0))
            WB_TRY (put_str (b, "};\n"));
        before = path;
    }
    return WB_OK;
}

char *wb_config_text (const wb_config_t *c) {
    wb_buf_t b = {0};
    char *text = wb_table_text (&b, &wb_table_train, c) == WB_OK ? wb_strndup (b.data, b.len) : NULL;
    wb_buf_fini (&b);
    return text;
}

/* ---- help and manual page ---------------------------------------------------------------------------------------- */

/* What is written in the place of a value. */
static const char *takes (char *buf, size_t size, const wb_option_t *o) {
    char formula[96], names[64] = "";
    switch (o->kind) {
    case WB_OPTION_CHOICE: return wb_choice_list (buf, size, o->choices);
    case WB_OPTION_BOOL: return "true|false";
    case WB_OPTION_TEXT:
    case WB_OPTION_GROUPS:
    case WB_OPTION_PARTS: return o->unit;
    case WB_OPTION_INT:
    case WB_OPTION_FLOAT: break;
    }
    const bool unit = o->unit != NULL && o->unit[0] != 0;
    if (o->choices != NULL) wb_choice_list (names, sizeof names, o->choices);
    snprintf (buf, size, "%s%s%s%s%s", names, names[0] != 0 ? " or " : "", wb_option_range (formula, sizeof formula, o),
              unit ? ", " : "", unit ? o->unit : "");
    return buf;
}

static void help_row (FILE *to, const char *path, const wb_option_t *o, bool man) {
    char buf[160];
    const char *fallback = wb_option_has_default (o) ? o->fallback : o->fallback + 1;
    const char *what = takes (buf, sizeof buf, o);
    if (fallback[0] == 0) fallback = "empty";
    if (!man) {
        fprintf (to, "  %-28s %s\n  %28s %s; default: %s\n", path, o->help, "", what, fallback);
        return;
    }
    fprintf (to, ".TP\n.B %s\n", path);
    for (const char *s = o->help; *s != 0; s++) {
        if (*s == '`') continue;
        if (*s == '-') fputc ('\\', to);
        fputc (*s, to);
    }
    fprintf (to, ".\n%s; default: %s.\n", what, fallback);
}

void wb_table_help (FILE *to, const wb_table_t *t, bool man) {
    wb_row_t r;
    char path[96];
    for (int i = 0; wb_table_row (&r, t, i); i++) {
        help_row (to, r.o->path, r.o, man);
        for (const wb_option_t *m = r.o->members; m != NULL && m->path != NULL; m++) {
            snprintf (path, sizeof path, "%s.%s", r.o->path, m->path);
            help_row (to, path, m, man);
        }
    }
}

void wb_config_help (FILE *to, bool man) { wb_table_help (to, &wb_table_train, man); }
