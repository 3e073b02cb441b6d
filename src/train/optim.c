/* The optimizers: their table, and what is the same for all.
 *
 *   adamw     Adam with decoupled weight decay on matrices (adam.c)
 *   adam      Adam as published, no decay (adam.c)
 *   adam_tf1  Adam as TensorFlow 1 has it, the original's, no decay (adam.c)
 *   adagrad   as TensorFlow 1's, no decay (adagrad.c)
 *   sgd       plain, no decay (sgd.c)
 *   muon      Muon on the matrices of the blocks, adamw on everything else (muon.c)
 *
 * Another one is a file that defines a row, its line in the table, and its name in wb_optim_kind.
 *
 * Not here: the learning rate (rate.c), and which pieces a rank updates (gradsync.c). */
#include "config.h"

#include "train/optim.h"

#define OPTIMIZERS(ROW)      \
    ROW (ADAMW, adamw)       \
    ROW (ADAM, adam)         \
    ROW (ADAM_TF1, adam_tf1) \
    ROW (ADAGRAD, adagrad)   \
    ROW (SGD, sgd)           \
    ROW (MUON, muon)

#define POINTER(kind, name) [WB_OPTIM_##kind] = &wb_optimizer_##name,
#define NAME(kind, name) [WB_OPTIM_##kind] = #name,
static const wb_optimizer_t *const table[WB_OPTIMS] = {OPTIMIZERS (POINTER)};
const char *const wb_optim_names[WB_OPTIMS + 1] = {OPTIMIZERS (NAME)};

const wb_optimizer_t *wb_optimizer_of (wb_optim_kind kind) {
    WB_ASSERT ((int) kind >= 0 && kind < WB_OPTIMS);
    return table[kind];
}

const wb_optim_slot_t *wb_optim_slots (wb_optim_kind kind, int *n) {
    *n = wb_optimizer_of (kind)->nslots;
    return wb_optimizer_of (kind)->slots;
}

int wb_optim_states (wb_optim_kind kind) {
    const wb_optimizer_t *row = wb_optimizer_of (kind);
    int n = 0;
    for (int i = 0; i < row->nslots; i++)
        if (row->slots[i].state >= n) n = row->slots[i].state + 1;
    return n;
}

bool wb_optim_has_state (wb_optim_kind kind, int state, const wb_param_t *p) {
    const wb_optimizer_t *row = wb_optimizer_of (kind);
    for (int i = 0; i < row->nslots && !p->frozen; i++) {
        const wb_optim_slot_t *slot = &row->slots[i];
        if (slot->state == state && (slot->classes == 0 || (slot->classes & 1u << p->cls) != 0)) return true;
    }
    return false;
}

void wb_optim_update (const wb_optim_options_t *o, const wb_kern_t *k, float *w, float *const state[2], const float *g,
                      const wb_segment_t *segments, int nsegments, int64_t step, double lr, double gscale) {
    const wb_optimizer_t *row = wb_optimizer_of (o->kind);
    const int states = wb_optim_states (o->kind);
    for (int i = 0; i < nsegments; i++) {
        const wb_segment_t *s = &segments[i];
        if (row->matrices != NULL && s->param->cls == WB_CLASS_MATRIX) continue;
        wb_optim_piece_t piece = {.o = o,
                                  .k = k,
                                  .w = w + s->flat,
                                  .g = g + s->grad,
                                  .n = s->count,
                                  .step = step,
                                  .lr = lr,
                                  .gscale = gscale,
                                  .decay = row->decays && s->param->decay ? (float) (lr * o->weight_decay) : 0};
        for (int j = 0; j < states; j++) piece.state[j] = state[j] + s->state;
        row->update (&piece);
    }
}
