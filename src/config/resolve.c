/* What follows from a configuration: the model's size (of preset, base and vocabulary) and the options of a trainer. */
#include "config.h"

#include <string.h>

#include "wabun/config.h"

/* The model's size, the vocabulary's share of it given or from the tokenizer. */
static wb_status find_size (wb_size_t *s, const wb_tokenizer_t *tokenizer, const wb_config_t *c) {
    if (c->base != NULL) {
        WB_TRY (wb_model_config_read (s, c->base));
    } else {
        *s = (wb_size_t){c->layers, c->width, c->heads, c->context, 0};
        s->V = tokenizer != NULL ? wb_tokenizer_size (tokenizer) : c->vocab_size;
    }
    if (c->base == NULL && c->vocab_size > 0) {
        if (c->vocab_size < s->V)
            return WB_FAIL (WB_EUSAGE, "model.vocab_size = %lld is less than the tokenizer's %lld ids: leave it out",
                            (long long) c->vocab_size, (long long) s->V);
        s->V = c->vocab_size;
    }
    if (tokenizer != NULL && wb_tokenizer_size (tokenizer) > s->V)
        return WB_FAIL (WB_EUSAGE,
                        "the tokenizer has %d ids, the model %s has room for %lld: they do not belong together",
                        wb_tokenizer_size (tokenizer), c->base != NULL ? c->base : "", (long long) s->V);
    return wb_size_check (s);
}

wb_status wb_config_size (wb_size_t *out, wb_tokenizer_t **tokenizer, const wb_config_t *c) {
    *tokenizer = NULL;
    if (c->tokenizer != NULL)
        WB_TRY (wb_tokenizer_new (tokenizer, c->tokenizer));
    else if (c->base != NULL && wb_tokenizer_probe (c->base)) /* it may come without one */
        WB_TRY (wb_tokenizer_new (tokenizer, c->base));
    return find_size (out, *tokenizer, c);
}

void wb_config_step_options (wb_step_options_t *o, const wb_config_t *c, const wb_size_t *size) {
    memset (o, 0, sizeof *o);
    o->size = *size;
    o->B = c->micro_batch;
    o->T = c->sequence_length > 0 ? c->sequence_length : size->T;
    o->global_batch = c->global_batch;
    o->chunks = (int) c->interleave;
    o->schedule = (wb_schedule_kind) wb_config_choice ("parallel.schedule", c->schedule);
    o->recompute = (wb_recompute) wb_config_choice ("parallel.recompute", c->recompute);
    o->sequence = c->sequence_parallel;
    o->zero = c->zero > 0;
    o->wire = (wb_wire) wb_config_choice ("parallel.wire", c->wire);
    o->seed = (uint64_t) c->seed;
    o->optim.kind = (wb_optim_kind) wb_config_choice ("train.optimizer", c->optimizer);
    o->optim.decay = (wb_decay_kind) wb_config_choice ("train.decay", c->decay);
    o->optim.lr = c->lr;
    o->optim.min_lr = c->min_lr;
    o->optim.beta1 = c->beta1;
    o->optim.beta2 = c->beta2;
    o->optim.eps = c->eps;
    o->optim.weight_decay = c->weight_decay;
    o->optim.clip = c->clip;
    o->optim.warmup = c->warmup;
    o->optim.steps = c->steps;
    o->optim.muon_momentum = c->muon_momentum;
    o->optim.muon_rms = c->muon_rms;
    o->optim.muon_check = c->muon_check;
    o->optim.muon_steps = (int) c->muon_steps;
    o->optim.muon_nesterov = c->muon_nesterov;
    o->optim.muon_split_qkv = c->muon_split_qkv;
    o->optim.muon_layout = (wb_muon_layout) wb_config_choice ("train.muon_layout", c->muon_layout);
}
