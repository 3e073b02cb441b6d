/* Text to values: a file (libconfig), or one --set (the bare value, or for lists what the file would have).
 *
 * All end in put(), the only place that checks type, choice and range.  Numbers, encoding and @include have been dealt
 * with before libconfig gets the text (source.c). */
#include "config.h"

#include <errno.h>
#include <libconfig.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_priv.h"
#include "config/source.h"
#include "tokenizer/utf8.h"

/* ---- one value --------------------------------------------------------------------------------------------------- */

/* A value as it was found, and what to call it. */
typedef struct value {
    enum { V_OTHER, V_INT, V_FLOAT, V_BOOL, V_TEXT } is;
    int64_t i;
    double f;
    const char *s;
    const char *called; /* "a string", "`abc`" */
} value_t;

static const char *wanted (const wb_option_t *o) {
    switch (o->kind) {
    case WB_OPTION_INT: return "a whole number";
    case WB_OPTION_FLOAT: return "a number";
    case WB_OPTION_BOOL: return "true or false";
    case WB_OPTION_PARTS: return "a string or a list of groups { tokens = PREFIX; weight = 1; }";
    case WB_OPTION_GROUPS: return "a list of groups ( { }, { } )";
    case WB_OPTION_TEXT:
    case WB_OPTION_CHOICE: break;
    }
    return "a string";
}

/* where: "FILE:LINE" or "--set key". */
static wb_status wrong_type (const char *where, const char *path, const char *want, const value_t *v) {
    return WB_FAIL (WB_EUSAGE, "%s: `%s` wants %s, got %s", where, path, want, v->called);
}

static wb_status in_range (const wb_option_t *o, const char *path, double x, const char *where) {
    bool low = (o->open & WB_OPTION_ABOVE) != 0 ? x > o->min : x >= o->min;
    bool high = (o->open & WB_OPTION_BELOW) != 0 ? x < o->max : x <= o->max;
    char text[96], number[40];
    if (low && high && isfinite (x)) return WB_OK;
    snprintf (number, sizeof number, o->kind == WB_OPTION_INT ? "%.0f" : "%g", x);
    if (low && o->max >= WB_OPTION_MANY && isfinite (x))
        return WB_FAIL (WB_EUSAGE, "%s: `%s` = %s is too large: %g at most", where, path, number, o->max);
    return WB_FAIL (WB_EUSAGE, "%s: `%s` = %s is out of range: %s", where, path, number,
                    wb_option_range (text, sizeof text, o));
}

wb_status wb_config_set_string (char **field, const char *s) {
    char *copy = wb_strdup (s);
    if (copy == NULL) return WB_NOMEM ("the configuration");
    wb_free (*field);
    *field = copy;
    return WB_OK;
}

void wb_parts_clear (wb_option_parts_t *p) {
    for (int i = 0; i < p->n; i++) wb_free (p->list[i].name);
    wb_free (p->list);
    *p = (wb_option_parts_t){0};
}

static wb_status add_part (wb_option_parts_t *p, const wb_option_t *o, const char *name, double weight,
                           const char *where) {
    if (name[0] == 0) return WB_FAIL (WB_EUSAGE, "%s: `%s`: the name of a token file is empty", where, o->path);
    wb_option_part_t *list = wb_realloc (p->list, (size_t) (p->n + 1) * sizeof *list);
    if (list == NULL) return WB_NOMEM ("the configuration");
    p->list = list;
    list[p->n] = (wb_option_part_t){wb_strdup (name), weight};
    if (list[p->n].name == NULL) return WB_NOMEM ("the configuration");
    p->n++;
    return WB_OK;
}

static wb_status put_string (const wb_option_t *o, char **field, const char *s) {
    if (s[0] != 0 || wb_option_has_default (o)) return wb_config_set_string (field, s);
    wb_free (*field); /* an empty text takes back what was there */
    *field = NULL;
    return WB_OK;
}

static wb_status put_choice (const wb_option_t *o, void *field, const char *s, const char *where) {
    char names[96];
    const int i = wb_choice (o->choices, s);
    if (i < 0 && (s[0] != 0 || wb_option_has_default (o)))
        return WB_FAIL (WB_EUSAGE, "%s: `%s` = `%s` is not one of %s", where, o->path, s,
                        wb_choice_list (names, sizeof names, o->choices));
    wb_field_set_int (o, field, i);
    return WB_OK;
}

/* A whole number by its name. */
static wb_status put_named (const wb_option_t *o, void *field, const char *s, const char *where) {
    char names[96];
    const int i = wb_choice (o->choices, s);
    if (i < 0)
        return WB_FAIL (WB_EUSAGE, "%s: `%s` = `%s` is neither a whole number nor one of %s", where, o->path, s,
                        wb_choice_list (names, sizeof names, o->choices));
    wb_field_set_int (o, field, i);
    return WB_OK;
}

static wb_status put (void *c, const wb_row_t *r, const value_t *v, const char *where) {
    const wb_option_t *o = r->o;
    void *field = wb_row_field (r, c);
    switch (o->kind) {
    case WB_OPTION_INT:
        if (v->is == V_TEXT && o->choices != NULL) return put_named (o, field, v->s, where);
        if (v->is != V_INT) break;
        WB_TRY (in_range (o, o->path, (double) v->i, where));
        wb_field_set_int (o, field, v->i);
        return WB_OK;
    case WB_OPTION_FLOAT:
        if (v->is != V_INT && v->is != V_FLOAT) break;
        WB_TRY (in_range (o, o->path, v->is == V_INT ? (double) v->i : v->f, where));
        *(double *) field = v->is == V_INT ? (double) v->i : v->f;
        return WB_OK;
    case WB_OPTION_BOOL:
        if (v->is != V_BOOL) break;
        *(bool *) field = v->i != 0;
        return WB_OK;
    case WB_OPTION_TEXT:
        if (v->is != V_TEXT) break;
        return put_string (o, field, v->s);
    case WB_OPTION_CHOICE:
        if (v->is == V_BOOL && wb_choice (o->choices, "true") >= 0)
            return put_choice (o, field, v->i != 0 ? "true" : "false", where);
        if (v->is != V_TEXT) break;
        return put_choice (o, field, v->s, where);
    case WB_OPTION_PARTS:
        if (v->is != V_TEXT) break;
        wb_parts_clear (field);
        return add_part (field, o, v->s, 1.0, where);
    case WB_OPTION_GROUPS: break;
    }
    return wrong_type (where, o->path, wanted (o), v);
}

/* ---- text without quotes ----------------------------------------------------------------------------------------- */

static void read_number (value_t *v, const char *text) {
    char *end;
    if (text[0] == 0 || strchr ("+-.0123456789", text[0]) == NULL) return; /* no blanks, nan, inf */
    errno = 0;
    v->i = strtoll (text, &end, 10);
    end += end != text && *end == 'L';
    end += end != text && *end == 'L';
    if (end != text && *end == 0) {
        if (errno == 0) v->is = V_INT;
        return;
    }
    v->f = strtod (text, &end);
    if (end != text && *end == 0) v->is = V_FLOAT;
}

wb_status wb_config_put_text (void *c, const wb_row_t *r, const char *text, const char *where) {
    char called[128];
    const size_t n = strlen (text);
    snprintf (called, sizeof called, "`%.100s`", text);
    value_t v = {.is = V_TEXT, .s = text, .called = called};
    switch (r->o->kind) {
    case WB_OPTION_INT:
    case WB_OPTION_FLOAT: read_number (&v, text); break;
    case WB_OPTION_BOOL:
        v.i = strcmp (text, "true") == 0;
        if (v.i != 0 || strcmp (text, "false") == 0) v.is = V_BOOL;
        break;
    case WB_OPTION_TEXT:
    case WB_OPTION_CHOICE:
    case WB_OPTION_PARTS:
    case WB_OPTION_GROUPS:
        if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
            char *bare = wb_strndup (text + 1, n - 2);
            if (bare == NULL) return WB_NOMEM ("the configuration");
            v.s = bare;
            wb_status status = put (c, r, &v, where);
            wb_free (bare);
            return status;
        }
        break;
    }
    return put (c, r, &v, where);
}

/* ---- libconfig's settings ---------------------------------------------------------------------------------------- */

/* What a text is read into, and where it comes from. */
typedef struct reader {
    const wb_table_t *table;
    void *c;
    wb_source_t source;
    config_t file;
    char where[WB_SOURCE_WHERE];
} reader_t;

static const char *where_is (reader_t *p, const config_setting_t *s) {
    return wb_source_where (p->where, &p->source, (unsigned) config_setting_source_line (s));
}

static value_t value_of (const config_setting_t *s) {
    switch (config_setting_type (s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64: return (value_t){.is = V_INT, .i = config_setting_get_int64 (s), .called = "a number"};
    case CONFIG_TYPE_FLOAT:
        return (value_t){.is = V_FLOAT, .f = config_setting_get_float (s), .called = "a number with a point"};
    case CONFIG_TYPE_BOOL: return (value_t){.is = V_BOOL, .i = config_setting_get_bool (s), .called = "true or false"};
    case CONFIG_TYPE_STRING: return (value_t){.is = V_TEXT, .s = config_setting_get_string (s), .called = "a string"};
    case CONFIG_TYPE_GROUP: return (value_t){.called = "a group { }"};
    case CONFIG_TYPE_ARRAY: return (value_t){.called = "an array [ ]"};
    default: return (value_t){.called = "a list ( )"};
    }
}

static wb_status read_part (reader_t *p, const wb_row_t *r, const config_setting_t *s) {
    const wb_option_t *o = r->o;
    wb_option_parts_t *parts = wb_row_field (r, p->c);
    value_t v = value_of (s);
    if (v.is == V_TEXT) return add_part (parts, o, v.s, 1.0, where_is (p, s));
    if (!config_setting_is_group (s)) return wrong_type (where_is (p, s), o->path, wanted (o), &v);
    const char *tokens = NULL;
    double weight = 1.0;
    for (int i = 0; i < config_setting_length (s); i++) {
        const config_setting_t *m = config_setting_get_elem (s, (unsigned) i);
        const char *name = config_setting_name (m);
        char path[96];
        snprintf (path, sizeof path, "%s.%.40s", o->path, name);
        v = value_of (m);
        if (strcmp (name, "tokens") == 0) {
            if (v.is != V_TEXT) return wrong_type (where_is (p, m), path, "a string", &v);
            tokens = v.s;
        } else if (strcmp (name, "weight") == 0) {
            if (v.is != V_INT && v.is != V_FLOAT) return wrong_type (where_is (p, m), path, "a number", &v);
            weight = v.is == V_INT ? (double) v.i : v.f;
            WB_TRY (in_range (o, path, weight, where_is (p, m)));
        } else {
            const char *known[] = {"tokens", "weight"}, *near = wb_nearest (name, known, 2);
            return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s`; %s `%s`%s", where_is (p, m), path,
                            near != NULL ? "did you mean" : "there are", near != NULL ? near : "tokens` and `weight",
                            near != NULL ? "?" : "");
        }
    }
    if (tokens == NULL)
        return WB_FAIL (WB_EUSAGE, "%s: this part of `%s` names no token file: tokens = PREFIX is missing",
                        where_is (p, s), o->path);
    return add_part (parts, o, tokens, weight, where_is (p, s));
}

static wb_status read_parts (reader_t *p, const wb_row_t *r, const config_setting_t *s) {
    wb_parts_clear (wb_row_field (r, p->c));
    if (!config_setting_is_list (s) && !config_setting_is_array (s)) return read_part (p, r, s);
    for (int i = 0; i < config_setting_length (s); i++)
        WB_TRY (read_part (p, r, config_setting_get_elem (s, (unsigned) i)));
    return WB_OK;
}

/* One group of a list of them: its members have rows of their own. */
static wb_status read_member (reader_t *p, const wb_option_t *o, void *into, const config_setting_t *s) {
    const char *known[32];
    int n = 0;
    const char *name = config_setting_name (s);
    for (const wb_option_t *m = o->members; m->path != NULL; m++) {
        const wb_row_t r = {m, 0};
        const value_t v = value_of (s);
        if (strcmp (m->path, name) == 0) return put (into, &r, &v, where_is (p, s));
        if (n < 32) known[n++] = m->path;
    }
    const char *near = wb_nearest (name, known, n);
    if (near == NULL)
        return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s.%.40s`; `wabun help %s` lists all keys", where_is (p, s),
                        o->path, name, p->table->command);
    return WB_FAIL (WB_EUSAGE, "%s: unknown key `%s.%.40s`; did you mean `%s`?", where_is (p, s), o->path, name, near);
}

static wb_status read_groups (reader_t *p, const wb_row_t *r, const config_setting_t *s) {
    const wb_option_t *o = r->o;
    wb_option_groups_t *g = wb_row_field (r, p->c);
    const int n = config_setting_length (s);
    wb_groups_clear (o, g);
    value_t v = value_of (s);
    if (!config_setting_is_list (s)) return wrong_type (where_is (p, s), o->path, wanted (o), &v);
    g->list = wb_calloc ((size_t) n + 1, o->member_bytes);
    if (g->list == NULL) return WB_NOMEM ("the configuration");
    for (int i = 0; i < n; i++) {
        const config_setting_t *one = config_setting_get_elem (s, (unsigned) i);
        void *into = (char *) g->list + (size_t) i * o->member_bytes;
        g->n = i + 1;
        v = value_of (one);
        if (!config_setting_is_group (one)) return wrong_type (where_is (p, one), o->path, "a group { }", &v);
        WB_TRY (wb_members_defaults (o, into));
        for (int k = 0; k < config_setting_length (one); k++)
            WB_TRY (read_member (p, o, into, config_setting_get_elem (one, (unsigned) k)));
    }
    return WB_OK;
}

static wb_status read_list (reader_t *p, const wb_row_t *r, const config_setting_t *s) {
    return r->o->kind == WB_OPTION_GROUPS ? read_groups (p, r, s) : read_parts (p, r, s);
}
static bool is_list (const wb_option_t *o) { return o->kind == WB_OPTION_PARTS || o->kind == WB_OPTION_GROUPS; }

/* The members of a group; group NULL: of the file. */
static wb_status read_group (reader_t *p, const config_setting_t *g, const char *group) {
    for (int i = 0; i < config_setting_length (g); i++) {
        const config_setting_t *s = config_setting_get_elem (g, (unsigned) i);
        char path[160];
        wb_row_t r;
        snprintf (path, sizeof path, "%s%s%.100s", group != NULL ? group : "", group != NULL ? "." : "",
                  config_setting_name (s));
        value_t v = value_of (s);
        if (wb_table_find (&r, p->table, path))
            WB_TRY (is_list (r.o) ? read_list (p, &r, s) : put (p->c, &r, &v, where_is (p, s)));
        else if (group != NULL || !wb_path_is_group (p->table, path))
            return wb_option_unknown (p->table, path, where_is (p, s));
        else if (!config_setting_is_group (s))
            return wrong_type (where_is (p, s), path, "a group { }", &v);
        else
            WB_TRY (read_group (p, s, path));
    }
    return WB_OK;
}

/* ---- files and --set --------------------------------------------------------------------------------------------- */

static wb_status parse (reader_t *p) {
    const wb_source_t *s = &p->source;
    if (config_read_string (&p->file, s->text.data) == CONFIG_TRUE) return WB_OK;
    if (s->suspect[0] != 0) return wb_encoding_refuse (s->suspect, strlen (s->suspect), s->where);
    const char *error = config_error_text (&p->file);
    char why[WB_SOURCE_WHERE + 64] = "";
    if (strcmp (error, "syntax error") == 0 && !wb_source_bracket (why, sizeof why, s))
        snprintf (why, sizeof why, "write key = value; with text in \"quotes\"");
    return WB_FAIL (WB_EUSAGE, "%s: %s%s%s", wb_source_where (p->where, s, (unsigned) config_error_line (&p->file)),
                    error, why[0] != 0 ? ": " : "", why);
}

wb_status wb_table_read (const wb_table_t *t, void *c, const char *text, size_t bytes, const char *path) {
    reader_t p = {.table = t, .c = c};
    wb_status status = wb_source_read (&p.source, text, bytes, path);
    config_init (&p.file);
    if (status == WB_OK) status = parse (&p);
    if (status == WB_OK) status = read_group (&p, config_root_setting (&p.file), NULL);
    config_destroy (&p.file);
    wb_source_fini (&p.source);
    return status;
}

/* The value of one option as a file has it: data.train = ({ tokens = "a"; weight = 1.0; }, "b"). */
static wb_status read_set_parts (reader_t *p, const wb_row_t *r, const char *text, const char *where) {
    char *line = wb_format ("parts = %s", text);
    if (line == NULL) return WB_NOMEM ("the configuration");
    p->source.one_line = true;
    wb_status status = wb_source_read (&p->source, line, strlen (line), where);
    wb_free (line);
    WB_TRY (status);
    if (config_read_string (&p->file, p->source.text.data) != CONFIG_TRUE)
        return WB_FAIL (WB_EUSAGE,
                        "%s: %s in `%.200s`; for instance --set 'data.train=({tokens=\"a\"; weight=2.0;}, \"b\")'",
                        where, config_error_text (&p->file), text);
    if (config_setting_length (config_root_setting (&p->file)) != 1)
        return WB_FAIL (WB_EUSAGE, "%s: `%.200s` goes on after its value", where, text);
    return read_list (p, r, config_lookup (&p->file, "parts"));
}

wb_status wb_table_read_set (const wb_table_t *t, void *c, const char *set) {
    const char *equals = strchr (set, '=');
    if (equals == NULL || equals == set)
        return WB_FAIL (WB_EUSAGE, "--set %s: wants KEY=VALUE, for instance --set train.steps=100", set);
    char key[128], where[160];
    wb_row_t r;
    snprintf (key, sizeof key, "%.*s", (int) (equals - set < 120 ? equals - set : 120), set);
    snprintf (where, sizeof where, "--set %s", key);
    if (!wb_table_find (&r, t, key)) {
        if (!wb_path_is_group (t, key)) return wb_option_unknown (t, key, where);
        return WB_FAIL (WB_EUSAGE, "%s: is a group: set its members, for instance --set train.steps=100", where);
    }
    size_t at;
    if (!wb_utf8_valid (set, strlen (set), &at))
        return WB_FAIL (WB_EUSAGE, "%s: byte %zu is not UTF-8: type it in a terminal that is", where, at);
    if (!is_list (r.o) || equals[1] == 0 || strchr ("([{", equals[1]) == NULL)
        return wb_config_put_text (c, &r, equals + 1, where);
    reader_t p = {.table = t, .c = c};
    config_init (&p.file);
    wb_status status = read_set_parts (&p, &r, equals + 1, where);
    config_destroy (&p.file);
    wb_source_fini (&p.source);
    return status;
}
