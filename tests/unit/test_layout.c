/* layouts: layers assigned completely, in order and evenly by cost; what is refused, and what is said
 * then
 */
#include "config.h"

#include <string.h>

#include "t.h"
#include "wabun/train.h"

/* ---- assigning --------------------------------------------------------------------------------------------------- */

static double cost (const wb_layout_t *lo, int s, double embed, double head) {
    int stages = lo->pp * lo->chunks;
    return lo->first[s + 1] - lo->first[s] + (s == 0 ? embed : 0) + (s == stages - 1 ? head : 0);
}

/* The lowest possible cost of the costliest of S stages: each costs a whole number of layers and its extra. */
static double best (int stages, int64_t L, double embed, double head) {
    double least = INFINITY;
    for (int64_t k = 1; k <= L; k++)
        for (int i = 0; i < 4; i++) {
            double cap = (double) k + (i & 1 ? embed : 0) + (i & 2 ? head : 0), most = 0;
            int64_t room = 0;
            for (int s = 0; s < stages; s++) {
                double extra = (s == 0 ? embed : 0) + (s == stages - 1 ? head : 0), n = floor (cap - extra + 1e-9);
                if (n < 1) n = 1; /* a stage has at least one layer, whatever it costs */
                room += (int64_t) n;
                most = fmax (most, fmin (n, 1) + extra);
            }
            if (room >= L) least = fmin (least, fmax (cap, most));
        }
    return least;
}

static void test_assign (void) {
    static const double heads[] = {0, 0.3, 1.0, 1.7, 2.5, 40.0};
    for (int64_t L = 1; L <= 48; L++)
        for (int pp = 1; pp <= 8; pp++)
            for (int chunks = 1; chunks <= 3; chunks++)
                for (size_t h = 0; h < sizeof heads / sizeof *heads; h++) {
                    wb_layout_t lo;
                    int stages = pp * chunks, shortest = 1 << 30;
                    double most = 0;
                    bool order = true;
                    if (stages > L || (chunks > 1 && pp == 1)) continue;
                    if (!T_STATUS (wb_layout_init (&lo, 2, pp, 1, chunks, L, 4, 0.05, heads[h]), WB_OK)) continue;
                    for (int s = 0; s < stages; s++) {
                        int layers = lo.first[s + 1] - lo.first[s];
                        order = order && layers >= 1;
                        if (layers < shortest) shortest = layers;
                        most = fmax (most, cost (&lo, s, 0.05, heads[h]));
                    }
                    T_OK (order && lo.first[0] == 0 && lo.first[stages] == L, "%lld layers in %d stages", (long long) L,
                          stages);
                    double want = best (stages, L, 0.05, heads[h]);
                    T_OK (most <= want + 1e-6,
                          "%lld layers in %d stages, head %.1f: the slowest costs %.2f, could be %.2f", (long long) L,
                          stages, heads[h], most, want);
                }
}

/* Places go over the grid once, and chunks in turn over the stages. */
static void test_places (void) {
    wb_layout_t lo;
    bool seen[2][3][4] = {{{false}}};
    T_STATUS (wb_layout_init (&lo, 2, 3, 4, 2, 12, 8, 0, 0), WB_OK);
    for (int r = 0; r < 24; r++) {
        wb_layout_place (&lo, r);
        T_OK (r == (lo.dp_rank * 3 + lo.pp_rank) * 4 + lo.tp_rank && !seen[lo.dp_rank][lo.pp_rank][lo.tp_rank],
              "place %d: %d %d %d", r, lo.dp_rank, lo.pp_rank, lo.tp_rank);
        seen[lo.dp_rank][lo.pp_rank][lo.tp_rank] = true;
        T_OK (wb_layout_has_embed (&lo) == (lo.pp_rank == 0) && wb_layout_has_head (&lo) == (lo.pp_rank == 2),
              "ends at %d", r);
    }
    for (int s = 0; s <= 6; s++) T_OK (lo.first[s] == 2 * s, "stage %d begins at layer %d", s, lo.first[s]);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

/* Refused as a matter of usage, with these words. */
static void refused (wb_status got, const char *words, int line) {
    const char *text = wb_error_get ()->text;
    t_check (got == WB_EUSAGE && strstr (text, words) != NULL, __FILE__, line, "status %d, wanted '%s': %s", (int) got,
             words, text);
    wb_error_clear ();
}
#define REFUSED(expr, words) refused ((expr), (words), __LINE__)

static void test_refusals (void) {
    wb_layout_t lo;
    REFUSED (wb_layout_init (&lo, 1, 1, 5, 1, 12, 12, 0, 0), "parallel.tensor to 4 or 6");
    REFUSED (wb_layout_init (&lo, 1, 1, 5, 1, 12, 12, 0, 0), "does not divide the model's 12 heads");
    REFUSED (wb_layout_init (&lo, 1, 1, 24, 1, 12, 12, 0, 0), "parallel.tensor to 12");
    REFUSED (wb_layout_init (&lo, 1, 13, 1, 1, 12, 12, 0, 0), "parallel.pipeline to at most 12");
    REFUSED (wb_layout_init (&lo, 1, 13, 1, 1, 12, 12, 0, 0), "13 stages of 12 layers");
    REFUSED (wb_layout_init (&lo, 1, 4, 1, 4, 12, 12, 0, 0), "parallel.pipeline to at most 3");
    REFUSED (wb_layout_init (&lo, 1, 4, 1, 8, 12, 12, 0, 0),
             "parallel.interleave = 1 and parallel.pipeline to at most 12");
    REFUSED (wb_layout_init (&lo, 4, 1, 1, 2, 12, 12, 0, 0), "needs a pipeline");
    REFUSED (wb_layout_init (&lo, 1, 2, 1, 17, 48, 12, 0, 0), "is more than 16");
    REFUSED (wb_layout_init (&lo, 0, 1, 1, 1, 12, 12, 0, 0), "at least 1");
    REFUSED (wb_layout_init (&lo, 1, 1, 1, 0, 12, 12, 0, 0), "at least 1");
}

static void test_trainer (void) {
    wb_step_options_t good = {.size = {12, 48, 12, 32, 100}, .B = 2, .T = 32, .global_batch = 48, .chunks = 1},
                      o = good;
    wb_layout_t lo;
    T_STATUS (wb_trainer_layout (&lo, &o, 4, 3, 2), WB_OK);
    T_OK (lo.dp == 4 && lo.pp == 3 && lo.tp == 2 && lo.chunks == 1 && lo.first[3] == 12, "a layout of 4 x 3 x 2");
    o.global_batch = 50; /* shares of 13 and 12 */
    T_STATUS (wb_trainer_layout (&lo, &o, 4, 3, 2), WB_OK);
    const int want[] = {7, 7, 6, 6};
    for (lo.dp_rank = 0; lo.dp_rank < 4; lo.dp_rank++)
        T_OK (wb_step_micro_batches (&o, &lo) == want[lo.dp_rank], "micro-batches of data rank %d", lo.dp_rank);
    o.global_batch = 3;
    REFUSED (wb_trainer_layout (&lo, &o, 4, 3, 2), "global_batch = 3 leaves some of 4 data ranks without a sequence: "
                                                   "set it to 4 or more, or use fewer ranks");
    o.global_batch = 4;
    REFUSED (wb_trainer_layout (&lo, &o, 4, 3, 2), "micro_batch = 2 is more than the 1 of train.global_batch = 4");
    o = good;
    o.T = 33;
    REFUSED (wb_trainer_layout (&lo, &o, 1, 1, 1), "between 1 and the model's context of 32");
    o = good;
    o.chunks = 2;
    T_STATUS (wb_trainer_layout (&lo, &o, 4, 3, 2), WB_OK);
    T_STATUS (wb_trainer_layout (&lo, &o, 3, 3, 2), WB_OK);
    T_OK (wb_step_micro_batches (&o, &lo) == 9, "8 micro-batches in rounds of 3 stages");
    o.global_batch = 12;
    REFUSED (wb_trainer_layout (&lo, &o, 3, 3, 2),
             "micro-batches of a data rank (2) as there are stages (parallel.pipeline = 3): set train.global_batch to "
             "18 or more");
    o = good;
    o.size.V = 3;
    REFUSED (wb_trainer_layout (&lo, &o, 1, 1, 4), "parallel.tensor = 4 is more than the vocabulary of 3");
    o = good;
    o.sequence = true;
    o.B = 1;
    o.T = 31;
    T_STATUS (wb_trainer_layout (&lo, &o, 1, 1, 1), WB_OK);
    REFUSED (wb_trainer_layout (&lo, &o, 1, 1, 2), "sequence_parallel wants the 31 positions");
    o = good;
    o.size.C = 50;
    REFUSED (wb_trainer_layout (&lo, &o, 1, 1, 1),
             "model.width = 50 is not a multiple of model.heads = 12: a width of 60");
    o = good;
    REFUSED (wb_trainer_layout (&lo, &o, 1, 1, 5), "parallel.tensor to 4 or 6");
    REFUSED (wb_trainer_layout (&lo, &o, 1, 13, 1), "parallel.pipeline to at most 12");
    o.B = 0;
    REFUSED (wb_trainer_layout (&lo, &o, 1, 1, 1), "parallel.micro_batch");
    o = good;
    o.global_batch = 0;
    REFUSED (wb_trainer_layout (&lo, &o, 1, 1, 1), "train.global_batch");
}

int main (void) {
    test_assign ();
    test_places ();
    test_refusals ();
    test_trainer ();
    return T_DONE ();
}
