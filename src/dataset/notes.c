/* What went wrong in an encoding: the first cases of all ranks, in the order of the inputs.
 *
 * Only one rank prints, so what the others met is brought to all of them. */
#include "config.h"

#include <string.h>

#include "dataset/encode.h"

void wb_note (wb_notes_t *notes, const char *fmt, ...) {
    va_list ap;
    va_start (ap, fmt);
    if (notes->n < WB_NOTES) vsnprintf (notes->text[notes->n], sizeof notes->text[0], fmt, ap);
    va_end (ap);
    notes->n++;
}

void wb_notes_add (wb_notes_t *notes, const wb_notes_t *more) {
    for (int64_t i = 0; i < more->n && i < WB_NOTES && notes->n + i < WB_NOTES; i++)
        memcpy (notes->text[notes->n + i], more->text[i], sizeof notes->text[0]);
    notes->n += more->n;
}

wb_status wb_notes_gather (wb_notes_t *notes, wb_comm_t *world) {
    const int ranks = wb_comm_size (world);
    int64_t n = notes->n;
    wb_comm_sum_i64 (world, &n, 1);
    if (n == 0 || ranks == 1) return WB_OK;
    wb_notes_t *all = wb_calloc ((size_t) ranks, sizeof *all);
    const wb_status status = wb_agree (world, all != NULL ? WB_OK : WB_NOMEM ("%d ranks' notes", ranks));
    if (status == WB_OK) {
        wb_comm_all_gather (world, all, notes, sizeof *all);
        int k = 0;
        for (int r = 0; r < ranks; r++)
            for (int i = 0; i < all[r].n && i < WB_NOTES && k < WB_NOTES; i++)
                memcpy (notes->text[k++], all[r].text[i], sizeof notes->text[0]);
        notes->n = n;
    }
    wb_free (all);
    return status;
}

void wb_notes_print (const wb_notes_t *notes, const char *what) {
    for (int i = 0; i < notes->n && i < WB_NOTES; i++) wb_warn ("%s", notes->text[i]);
    if (notes->n > WB_NOTES) wb_warn ("... and %lld more %s", (long long) (notes->n - WB_NOTES), what);
}
