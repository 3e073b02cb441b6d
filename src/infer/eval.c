/* Evaluation: how many bits models need for texts they have not seen, and which answers they would choose.
 *
 * A document is scored as it was trained: <|endoftext|>, the text, <|endoftext|>.  What is told is per byte of the text
 * as it was read, so that models of any tokenizers can be compared: the end is counted in the bits (that a text ends is
 * information too) and has no bytes, as in a run's validation.
 *
 * Models come one after the other, each whole on every rank; ranks share documents and questions.
 *
 * Not here: documents and their bits (eval_documents.c), answers (choices.c), what is made of them (eval_report.c). */
#include "config.h"

#include <string.h>

#include "infer/grid.h"

typedef struct job {
    wb_comm_t *world;
    const wb_eval_t *e;
    int threads;
    wb_eval_documents_t documents;
    wb_questions_t questions;
    wb_eval_scores_t *scores;   /* [models] */
    wb_eval_answers_t *answers; /* [models] */
} job_t;

static wb_status check (const wb_eval_t *e, int ranks) {
    if (e->nmodels < 1)
        return WB_FAIL (WB_EUSAGE, "eval wants a MODEL: a checkpoint, or any Hugging Face GPT-2 directory");
    if (e->grid != NULL && (e->nmodels > 1 || e->ntexts > 0 || e->choices != NULL))
        return WB_FAIL (WB_EUSAGE, "--sampling-grid is of one MODEL, and goes with neither --text nor --choices: the "
                                   "configuration names its text");
    if (e->ntexts < 1 && e->choices == NULL && e->grid == NULL)
        return WB_FAIL (WB_EUSAGE,
                        "eval wants --text FILE..., text that the models were not trained on, --choices FILE or "
                        "--sampling-grid CFG");
    int from_stdin = e->choices != NULL && strcmp (e->choices, "-") == 0;
    for (int i = 0; i < e->ntexts; i++) from_stdin += strcmp (e->texts[i], "-") == 0;
    if (from_stdin > 1 || (from_stdin > 0 && ranks > 1))
        return WB_FAIL (WB_EUSAGE, "-: the standard input can be read once, by one process");
    return WB_OK;
}

static double *numbers (int64_t n) { return wb_calloc ((size_t) (n > 0 ? n : 1), sizeof (double)); }

static wb_status make_room (job_t *j) {
    const int models = j->e->nmodels;
    j->scores = wb_calloc ((size_t) models, sizeof *j->scores);
    j->answers = wb_calloc ((size_t) models, sizeof *j->answers);
    bool good = j->scores != NULL && j->answers != NULL;
    for (int m = 0; m < models && good; m++) {
        wb_eval_scores_t *s = &j->scores[m];
        wb_eval_answers_t *a = &j->answers[m];
        s->nats = numbers (j->documents.n), s->tokens = numbers (j->documents.n);
        s->calibration = wb_calloc ((size_t) j->documents.genres + 1, sizeof *s->calibration);
        a->right = numbers (j->questions.n), a->right_by_byte = numbers (j->questions.n);
        good = s->nats != NULL && s->tokens != NULL && s->calibration != NULL && a->right != NULL &&
               a->right_by_byte != NULL;
    }
    return good ? WB_OK : WB_NOMEM ("results");
}

static void forget (job_t *j) {
    for (int m = 0; m < j->e->nmodels; m++) {
        if (j->scores != NULL)
            wb_free (j->scores[m].nats), wb_free (j->scores[m].tokens), wb_free (j->scores[m].calibration);
        if (j->answers != NULL) wb_free (j->answers[m].right), wb_free (j->answers[m].right_by_byte);
    }
    wb_free (j->scores);
    wb_free (j->answers);
    wb_questions_fini (&j->questions);
    wb_eval_documents_fini (&j->documents);
}

/* What model number i says.  Collective. */
static wb_status measure (job_t *j, int i) {
    const wb_eval_t *e = j->e;
    const int64_t n = j->documents.n, asked = j->questions.n;
    const wb_model_args_t a = {.model = e->models[i],
                               .tokenizer = e->tokenizer,
                               .threads = j->threads,
                               .weights = e->weights,
                               .half_cache = e->half_cache,
                               .no_verify = e->no_verify};
    double lossy = 0.0;
    wb_model_t *m = NULL;
    wb_status status = wb_agree (j->world, wb_model_open (&m, &a, "eval"));
    if (status != WB_OK) { /* of another rank, perhaps */
        wb_model_destroy (m);
        return status;
    }
    status = n > 0 ? wb_eval_score (&j->scores[i], &lossy, &j->documents, m, e,
                                    wb_comm_rank (j->world) == 0 ? e->models[i] : NULL)
                   : WB_OK;
    if (status == WB_OK && asked > 0)
        status =
            wb_eval_ask (&j->answers[i], &j->questions, m, e->stride, wb_comm_rank (j->world), wb_comm_size (j->world));
    wb_model_destroy (m);
    WB_TRY (wb_agree (j->world, status));
    wb_comm_sum_f64 (j->world, j->scores[i].nats, wb_int (n)); /* 0 where it is another rank's */
    wb_comm_sum_f64 (j->world, (double *) j->scores[i].calibration,
                     wb_int (j->documents.genres * WB_CALIBRATION_NUMBERS));
    wb_comm_sum_f64 (j->world, (double *) j->answers[i].calibration, 2 * WB_CALIBRATION_NUMBERS);
    wb_comm_sum_f64 (j->world, j->scores[i].tokens, wb_int (n));
    wb_comm_sum_f64 (j->world, j->answers[i].right, wb_int (asked));
    wb_comm_sum_f64 (j->world, j->answers[i].right_by_byte, wb_int (asked));
    wb_comm_sum_f64 (j->world, &lossy, 1);
    if (lossy > 0.0)
        wb_warn (
            "%s: %.0f of %lld documents do not come back from its tokenizer as they were: what is lost there costs "
            "it nothing, so its bits per byte are too low",
            e->models[i], lossy, (long long) n);
    return WB_OK;
}

static wb_status run (job_t *j) {
    const wb_eval_t *e = j->e;
    WB_TRY (wb_comm_threads (&j->threads, j->world, e->threads));
    if (e->grid != NULL) return wb_grid_run (j->world, e, j->threads);
    if (e->ntexts > 0) WB_TRY (wb_eval_documents_read (&j->documents, j->world, e));
    if (e->choices != NULL)
        WB_TRY (wb_agree (j->world, wb_dataset_questions (&j->questions, e->choices, e->bad_lines)));
    WB_TRY (wb_agree (j->world, make_room (j)));
    for (int i = 0; i < e->nmodels; i++) WB_TRY (measure (j, i));
    const bool tells = wb_comm_rank (j->world) == 0;
    return wb_agree (j->world, tells ? wb_eval_tell (e, &j->documents, j->scores, j->questions.n, j->answers) : WB_OK);
}

wb_status wb_eval (wb_comm_t *world, const wb_eval_t *e) {
    job_t j = {.world = world, .e = e};
    WB_TRY (wb_agree (world, check (e, wb_comm_size (world))));
    const wb_status status = run (&j);
    forget (&j);
    return status;
}
