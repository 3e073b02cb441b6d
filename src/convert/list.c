/* The table of formats as `wabun help` lists it, and --type by its name. */
#include "config.h"

#include <string.h>

#include "convert/convert_priv.h"

wb_status wb_number_of (wb_number *out, const char *name) {
    const int i = wb_choice (wb_number_names, name);
    char known[64] = "";
    if (i >= 0) {
        *out = (wb_number) i;
        return WB_OK;
    }
    for (int k = 0; k < WB_NUMBERS; k++)
        snprintf (known + strlen (known), sizeof known - strlen (known), "%s%s", k > 0 ? ", " : "", wb_number_names[k]);
    return WB_FAIL (WB_EUSAGE, "--type %s: no such type of numbers; there are %s", name, known);
}

static void put_row (FILE *to, wb_put_fn put, const wb_format_t *f) {
    char line[256];
    put (to, line, (size_t) snprintf (line, sizeof line, "  %-16s  %s\n", f->name, f->what));
}

static const char title[] = "Formats:\n", options[] = "Options:\n";

void wb_formats_list_all (FILE *to, wb_put_fn put) {
    put (to, title, sizeof title - 1);
    for (int i = 0; wb_formats[i] != NULL; i++) put_row (to, put, wb_formats[i]);
    put (to, options, sizeof options - 1);
}

void wb_formats_list_in (FILE *to, wb_put_fn put) {
    put (to, title, sizeof title - 1);
    for (int i = 0; wb_formats[i] != NULL; i++)
        if (wb_formats[i]->open != NULL || wb_formats[i]->read_ids != NULL) put_row (to, put, wb_formats[i]);
    put (to, options, sizeof options - 1);
}

void wb_formats_list_out (FILE *to, wb_put_fn put) {
    char line[512], types[64];
    for (int i = 0; wb_formats[i] != NULL; i++) {
        const wb_format_t *f = wb_formats[i];
        if (f->write == NULL && f->write_ids == NULL) continue;
        types[0] = 0;
        for (int k = 0; k < WB_NUMBERS; k++)
            if ((f->types >> k & 1u) != 0)
                snprintf (types + strlen (types), sizeof types - strlen (types), " %s", wb_number_names[k]);
        const int n = snprintf (line, sizeof line, "  --to %-10s  %s%s%s\n  %-15s  keeps %s\n", f->name, f->what,
                                types[0] != 0 ? ";" : "", types, "", f->keeps);
        put (to, line, (size_t) n);
    }
}
