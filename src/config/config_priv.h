/* config: what its files share.
 *
 *   options.c   the rooms' tables of options joined, fields of a configuration by row
 *   source.c    the text of a configuration: encoding, @include, numbers; which line came from where
 *   parse.c     text and --set to values
 *   check.c     what two options must be to each other
 *   config.c    new and destroy, command line
 *   text.c      values to text: resolved configuration, help, manual page
 *   share.c     one configuration for all ranks
 *   resolve.c   the model's size and the options of a trainer
 *   corpus.c    the configuration of a corpus: another table, read by the same functions */
#ifndef WABUN_CONFIG_PRIV_H
#define WABUN_CONFIG_PRIV_H

#include "wabun/config.h"

/* ---- rows (options.c) -------------------------------------------------------------------------------------------- */

/* The options of one kind of configuration: the tables of its rooms, each with the place of its struct. */
typedef struct wb_table {
    const char *command; /* whose help lists the keys */
    const struct wb_table_room {
        const wb_option_t *rows;
        size_t base;
    } * rooms; /* in the order of the resolved text; members of a group must be next to each other */
    int nrooms;
} wb_table_t;
extern const wb_table_t wb_table_train, wb_table_corpus;

/* A row of a table, and where its room's struct begins in a configuration. */
typedef struct wb_row {
    const wb_option_t *o;
    size_t base;
} wb_row_t;
/* The i-th row; false: there are no more.  Members of a group are next to each other. */
bool wb_table_row (wb_row_t *out, const wb_table_t *t, int i);
bool wb_table_find (wb_row_t *out, const wb_table_t *t, const char *path);
static inline bool wb_row_at (wb_row_t *out, int i) { return wb_table_row (out, &wb_table_train, i); }
static inline void *wb_row_field (const wb_row_t *r, void *c) { return (char *) c + r->base + r->o->offset; }
static inline const void *wb_row_value (const wb_row_t *r, const void *c) {
    return (const char *) c + r->base + r->o->offset;
}
/* Whole numbers, enums and bools of any width. */
int64_t wb_field_int (const wb_option_t *o, const void *field);
void wb_field_set_int (const wb_option_t *o, void *field, int64_t x);

static inline bool wb_option_has_default (const wb_option_t *o) { return o->fallback[0] != '='; }
/* Bytes of the group's name in a path, 0 at top level; the part after the last point. */
size_t wb_path_group_bytes (const char *path);
const char *wb_path_leaf (const char *path);
bool wb_path_is_group (const wb_table_t *t, const char *name);
/* The range as a formula: "1 <= x <= 4096"; empty when there is none. */
const char *wb_option_range (char *buf, size_t size, const wb_option_t *o);
/* WB_EUSAGE: no such key, with the nearest there is.  where: "FILE:LINE" or "--set key". */
wb_status wb_option_unknown (const wb_table_t *t, const char *path, const char *where);

/* ---- values (parse.c) -------------------------------------------------------------------------------------------- */

wb_status wb_config_set_string (char **field, const char *s) WB_NODISCARD;
void wb_parts_clear (wb_option_parts_t *p);
void wb_groups_clear (const wb_option_t *o, wb_option_groups_t *g);
/* Defaults of one group of a list. */
wb_status wb_members_defaults (const wb_option_t *o, void *into) WB_NODISCARD;
/* A value as text without quotes, as --set has it. */
wb_status wb_config_put_text (void *c, const wb_row_t *r, const char *text, const char *where) WB_NODISCARD;
/* All values of a file's text; one --set.  c: the struct that the table is of. */
wb_status wb_table_read (const wb_table_t *t, void *c, const char *text, size_t bytes, const char *path) WB_NODISCARD;
wb_status wb_table_read_set (const wb_table_t *t, void *c, const char *set) WB_NODISCARD;
static inline wb_status wb_config_read (wb_config_t *c, const char *text, size_t bytes, const char *path) {
    return wb_table_read (&wb_table_train, c, text, bytes, path);
}

/* All values as text (text.c), and help. */
wb_status wb_table_text (wb_buf_t *b, const wb_table_t *t, const void *c) WB_NODISCARD;
void wb_table_help (FILE *to, const wb_table_t *t, bool man);

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

/* Fields that have a constant default get it, others their "not given". */
wb_status wb_table_defaults (const wb_table_t *t, void *c) WB_NODISCARD;
static inline wb_status wb_config_set_defaults (wb_config_t *c) { return wb_table_defaults (&wb_table_train, c); }
/* Free what the options own. */
void wb_table_clear (const wb_table_t *t, void *c);
void wb_config_clear (wb_config_t *c);
/* Defaults, then the file's text, then the sets. */
wb_status wb_table_fill (const wb_table_t *t, void *c, const char *text, size_t bytes, const char *path,
                         const char *const *sets, int nsets) WB_NODISCARD;
wb_status wb_config_from_text (wb_config_t **out, const char *text, size_t bytes, const char *path,
                               const char *const *sets, int nsets) WB_NODISCARD;
/* What two options must be to each other; fills in what follows from others (preset, min_lr). */
wb_status wb_config_check (wb_config_t *c) WB_NODISCARD;

#endif
