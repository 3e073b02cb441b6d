/* The profile of a step: names of what is timed, and sums by phase.
 *
 * The caller of a kernel reads the clock and adds to the table (wb_profile_add): two clock reads a kernel, about 50 ns,
 * against kernels of 50 us and more.  Benches, metrics and reports read the same table.
 *
 * Not here: limits (limits.c measures them), printing (bench). */
#include "config.h"

#include "wabun/kernels.h"

static const struct row {
    const char *name;
    wb_phase phase;
} rows[WB_PROFS] = {
    [WB_PROF_QKV] = {"qkv", WB_PHASE_LINEAR},
    [WB_PROF_QKV_DX] = {"qkv dx", WB_PHASE_LINEAR},
    [WB_PROF_QKV_DW] = {"qkv dw", WB_PHASE_LINEAR},
    [WB_PROF_PROJ] = {"proj", WB_PHASE_LINEAR},
    [WB_PROF_PROJ_DX] = {"proj dx", WB_PHASE_LINEAR},
    [WB_PROF_PROJ_DW] = {"proj dw", WB_PHASE_LINEAR},
    [WB_PROF_FC] = {"fc", WB_PHASE_LINEAR},
    [WB_PROF_FC_DX] = {"fc dx", WB_PHASE_LINEAR},
    [WB_PROF_FC_DW] = {"fc dw", WB_PHASE_LINEAR},
    [WB_PROF_FC2] = {"fc2", WB_PHASE_LINEAR},
    [WB_PROF_FC2_DX] = {"fc2 dx", WB_PHASE_LINEAR},
    [WB_PROF_FC2_DW] = {"fc2 dw", WB_PHASE_LINEAR},
    [WB_PROF_LORA] = {"adapters", WB_PHASE_LINEAR},
    [WB_PROF_LORA_BACK] = {"adapters back", WB_PHASE_LINEAR},
    [WB_PROF_ATTENTION] = {"attention", WB_PHASE_ATTENTION},
    [WB_PROF_ATTENTION_BACK] = {"attention back", WB_PHASE_ATTENTION},
    [WB_PROF_EMBED] = {"embedding", WB_PHASE_ELEMENTWISE},
    [WB_PROF_EMBED_BACK] = {"embedding back", WB_PHASE_ELEMENTWISE},
    [WB_PROF_LAYERNORM] = {"layernorm", WB_PHASE_ELEMENTWISE},
    [WB_PROF_LAYERNORM_BACK] = {"layernorm back", WB_PHASE_ELEMENTWISE},
    [WB_PROF_BIAS] = {"bias", WB_PHASE_ELEMENTWISE},
    [WB_PROF_BIAS_BACK] = {"bias back", WB_PHASE_ELEMENTWISE},
    [WB_PROF_GELU] = {"bias+gelu", WB_PHASE_ELEMENTWISE},
    [WB_PROF_GELU_BACK] = {"gelu back", WB_PHASE_ELEMENTWISE},
    [WB_PROF_RESIDUAL] = {"residual(+ln)", WB_PHASE_ELEMENTWISE},
    [WB_PROF_PACK] = {"to bf16", WB_PHASE_ELEMENTWISE},
    [WB_PROF_HEAD] = {"logits", WB_PHASE_HEAD},
    [WB_PROF_HEAD_DX] = {"logits dx", WB_PHASE_HEAD},
    [WB_PROF_HEAD_DW] = {"logits dw", WB_PHASE_HEAD},
    [WB_PROF_SOFTMAX] = {"softmax, loss", WB_PHASE_HEAD},
    [WB_PROF_CLEAR] = {"clear gradients", WB_PHASE_UPDATE},
    [WB_PROF_NORM] = {"gradient norm", WB_PHASE_UPDATE},
    [WB_PROF_OPTIMIZER] = {"optimizer", WB_PHASE_UPDATE},
    [WB_PROF_MUON] = {"muon", WB_PHASE_UPDATE},
    [WB_PROF_TENSOR] = {"tensor group", WB_PHASE_COMM},
    [WB_PROF_POLL] = {"polling", WB_PHASE_COMM},
    [WB_PROF_PIPELINE] = {"pipeline wait", WB_PHASE_COMM},
    [WB_PROF_SYNC] = {"gradients wait", WB_PHASE_COMM},
    [WB_PROF_VERDICT] = {"verdict", WB_PHASE_COMM},
    [WB_PROF_WEIGHTS] = {"weights", WB_PHASE_COMM},
};

static const char *const phases[WB_PHASES] = {
    [WB_PHASE_LINEAR] = "linear", [WB_PHASE_ATTENTION] = "attention", [WB_PHASE_ELEMENTWISE] = "elementwise",
    [WB_PHASE_HEAD] = "head",     [WB_PHASE_UPDATE] = "update",       [WB_PHASE_COMM] = "communication"};

const char *wb_prof_name (wb_prof which) { return rows[which].name; }
wb_phase wb_prof_phase (wb_prof which) { return rows[which].phase; }
const char *wb_phase_name (wb_phase phase) { return phases[phase]; }

double wb_profile_seconds (const wb_profile_t *p, wb_phase phase) {
    double sum = 0;
    for (int i = 0; i < WB_PROFS; i++)
        if (rows[i].phase == phase) sum += p->of[i].seconds;
    return sum;
}
