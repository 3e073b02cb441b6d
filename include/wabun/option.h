/* wabun - base: options of a configuration, as every room declares its own (choice.c).  Part of base.h.
 *
 * A room has a struct of options and a table of rows for it; src/config joins the tables.
 */
#ifndef WABUN_OPTION_H
#define WABUN_OPTION_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Kinds of values, and the type of the field that holds one. */
typedef enum wb_option_kind {
    WB_OPTION_INT,    /**< a whole number, or one of `choices`; the field is an integer of 4 or 8 bytes, or a bool */
    WB_OPTION_FLOAT,  /**< double */
    WB_OPTION_BOOL,   /**< bool: true or false */
    WB_OPTION_TEXT,   /**< char *, owned by the configuration; NULL: not given */
    WB_OPTION_CHOICE, /**< an enum, or an int that may be -1: not given */
    WB_OPTION_PARTS,  /**< wb_option_parts_t */
    WB_OPTION_GROUPS  /**< wb_option_groups_t: a list of groups, each with rows of its own */
} wb_option_kind;
enum { WB_OPTION_ABOVE = 1, WB_OPTION_BELOW = 2 }; /**< the bound itself is excluded */
#define WB_OPTION_MANY 1e12                        /**< a limit that help does not mention */
/** One option: a row of its room's table `const wb_option_t wb_ROOM_options[]`, which ends with a row without path, and
 * a field of the room's struct.  src/config joins the tables; parser, help and resolved text come from them. */
typedef struct wb_option {
    const char *path; /**< "train.lr": its key in a configuration */
    wb_option_kind kind;
    size_t offset, size;        /**< of its field in the room's struct: WB_OPTION_AT () */
    const char *fallback;       /**< the default as text; "=..." says in words where it comes from if not a constant */
    double min, max;            /**< of numbers; max >= WB_OPTION_MANY: not mentioned in help */
    unsigned open;              /**< WB_OPTION_ABOVE, WB_OPTION_BELOW */
    const char *unit;           /**< NULL: none */
    const char *const *choices; /**< names in the order of the enum, then NULL; of WB_OPTION_INT: of 0, 1, ... */
    const char *help;
    const struct wb_option *members; /**< of WB_OPTION_GROUPS: rows of a group, offsets in its struct */
    size_t member_bytes;             /**< of that struct */
} wb_option_t;
#define WB_OPTION_AT(type, field) offsetof (type, field), sizeof (((type *) NULL)->field)

/** A list of names with weights: data.train. */
typedef struct wb_option_part {
    char *name;
    double weight;
} wb_option_part_t;
typedef struct wb_option_parts {
    wb_option_part_t *list;
    int n;
} wb_option_parts_t;

/** A list of groups: structs of the row's member_bytes; owned. */
typedef struct wb_option_groups {
    void *list;
    int n;
} wb_option_groups_t;

/** Index of `name` in a list of names that ends with NULL: the value of its enum; -1: it is none of them. */
int wb_choice (const char *const *names, const char *name);
/** The names, separated by |, into buf. */
const char *wb_choice_list (char *buf, size_t size, const char *const *names);

#ifdef __cplusplus
}
#endif
#endif
