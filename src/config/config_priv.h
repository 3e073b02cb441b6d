/* config: what its files share.
 *
 *   options.c   the rooms' tables of options joined, fields of a configuration by row
 *   source.c    the text of a configuration: encoding, @include, numbers; which line came from where
 *   parse.c     text and --set to values
 *   check.c     what two options must be to each other
 *   config.c    new and destroy, command line
 *   text.c      values to text: resolved configuration, help, manual page
 *   share.c     one configuration for all ranks
 *   resolve.c   the model's size and the options of a trainer */
#ifndef WABUN_CONFIG_PRIV_H
#define WABUN_CONFIG_PRIV_H

#include "wabun/config.h"

/* ---- rows (options.c) -------------------------------------------------------------------------------------------- */

/* A row of the joined table, and where its room's struct begins in a configuration. */
typedef struct wb_row {
    const wb_option_t *o;
    size_t base;
} wb_row_t;
/* The i-th row; false: there are no more.  Members of a group are next to each other. */
bool wb_row_at (wb_row_t *out, int i);
bool wb_row_find (wb_row_t *out, const char *path);
static inline void *wb_row_field (const wb_row_t *r, wb_config_t *c) { return (char *) c + r->base + r->o->offset; }
static inline const void *wb_row_value (const wb_row_t *r, const wb_config_t *c) {
    return (const char *) c + r->base + r->o->offset;
}
/* Whole numbers, enums and bools of any width. */
int64_t wb_field_int (const wb_option_t *o, const void *field);
void wb_field_set_int (const wb_option_t *o, void *field, int64_t x);

static inline bool wb_option_has_default (const wb_option_t *o) { return o->fallback[0] != '='; }
/* Bytes of the group's name in a path, 0 at top level; the part after the last point. */
size_t wb_path_group_bytes (const char *path);
const char *wb_path_leaf (const char *path);
bool wb_path_is_group (const char *name);
/* The range as a formula: "1 <= x <= 4096"; empty when there is none. */
const char *wb_option_range (char *buf, size_t size, const wb_option_t *o);
/* WB_EUSAGE: no such key, with the nearest there is.  where: "FILE:LINE" or "--set key". */
wb_status wb_option_unknown (const char *path, const char *where);

/* ---- values (parse.c) -------------------------------------------------------------------------------------------- */

wb_status wb_config_set_string (char **field, const char *s) WB_NODISCARD;
void wb_parts_clear (wb_option_parts_t *p);
/* A value as text without quotes, as --set has it. */
wb_status wb_config_put_text (wb_config_t *c, const wb_row_t *r, const char *text, const char *where) WB_NODISCARD;
/* All values of a file's text; one --set. */
wb_status wb_config_read (wb_config_t *c, const char *text, size_t bytes, const char *path) WB_NODISCARD;
wb_status wb_config_read_set (wb_config_t *c, const char *set) WB_NODISCARD;

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

/* Fields that have a constant default get it, others their "not given". */
wb_status wb_config_set_defaults (wb_config_t *c) WB_NODISCARD;
/* Free what a configuration owns. */
void wb_config_clear (wb_config_t *c);
wb_status wb_config_from_text (wb_config_t **out, const char *text, size_t bytes, const char *path,
                               const char *const *sets, int nsets) WB_NODISCARD;
/* What two options must be to each other; fills in what follows from others (preset, min_lr). */
wb_status wb_config_check (wb_config_t *c) WB_NODISCARD;

#endif
