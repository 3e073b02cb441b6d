/* Multiple choice: which of several continuations does a model find the most likely?
 *
 * A choice is scored as generation would come to it: after <|endoftext|> and the ids of the context come the ids of the
 * choice, encoded by itself, so that every tokenizer draws the line between the two at the same place.  The sum of
 * their log-probabilities favours short choices; divided by the bytes of the choice it does less so (what
 * lm-evaluation-harness calls acc and acc_norm; Gao et al., doi:10.5281/zenodo.12608602).
 *
 * In a cloze a text goes on after the blank: its ids, encoded by themselves, are scored with those of the choice, since
 * a word is right by what follows it as well.
 *
 * Not here: reading questions (dataset/questions.c), printing (eval_print.c). */
#include "config.h"

#include <math.h>
#include <string.h>

#include "infer/eval.h"

typedef struct asking {
    const wb_questions_t *q;
    wb_eval_answers_t *a;
    int64_t question;  /* whose choice is the next result */
    int choice, ranks; /* which of them; questions go to ranks in turn */
    double best[2];    /* of those so far: sum, and sum a byte */
    double odds[2];    /* sums of the odds of those so far against the best */
    int which[2];
    wb_ids_t ids, choice_ids;
    int64_t *lengths; /* of choices whose results are to come, in ids: a ring */
    int64_t put, got, cap;
} asking_t;

/* The result of one choice: the last ids are its. */
static wb_status keep (void *ctx, const wb_scored_t *r) {
    asking_t *k = ctx;
    const wb_question_t *q = &k->q->list[k->question];
    const int64_t n = k->lengths[k->got++];
    double sum[2] = {n > 0 ? 0.0 : -INFINITY, 0.0}; /* no id: a tokenizer that drops blanks */
    for (int64_t i = r->n - n; i < r->n; i++) sum[0] += (double) r->logprob[i];
    sum[1] = sum[0] / (double) (q->choices[k->choice].len + q->after.len);
    for (int i = 0; i < 2; i++) {
        if (k->choice == 0) k->odds[i] = 0.0, k->best[i] = sum[i], k->which[i] = 0;
        if (sum[i] > k->best[i]) {
            k->odds[i] *= exp (k->best[i] - sum[i]);
            k->best[i] = sum[i], k->which[i] = k->choice;
        }
        k->odds[i] += sum[i] == k->best[i] ? 1.0 : exp (sum[i] - k->best[i]);
    }
    if (++k->choice < q->nchoices) return WB_OK;
    for (int i = 0; i < 2; i++) wb_calibration_add (&k->a->calibration[i], 1.0 / k->odds[i], k->which[i] == q->answer);
    k->a->right[k->question] = k->which[0] == q->answer;
    k->a->right_by_byte[k->question] = k->which[1] == q->answer;
    k->question += k->ranks;
    k->choice = 0;
    return WB_OK;
}

static wb_status ask (asking_t *k, wb_scorer_t *scorer, const wb_tokenizer_t *t, const wb_question_t *q, int choice) {
    const wb_buf_t *text = &q->choices[choice];
    wb_ids_clear (&k->ids);
    wb_ids_clear (&k->choice_ids);
    WB_TRY (wb_tokenizer_encode (t, &k->ids, q->context.data, q->context.len, false));
    WB_TRY (wb_tokenizer_encode (t, &k->choice_ids, text->data, text->len, false));
    WB_TRY (wb_tokenizer_encode (t, &k->choice_ids, q->after.data, q->after.len, false));
    if (!WB_GROW (k->lengths, k->cap, k->put + 1)) return WB_NOMEM ("choices");
    k->lengths[k->put++] = k->choice_ids.len;
    for (int64_t i = 0; i < k->choice_ids.len; i++) WB_TRY (wb_ids_put (&k->ids, k->choice_ids.data[i]));
    return wb_scorer_put_ids (scorer, &(wb_text_t){text->data, text->len, "a choice", 0}, k->ids.data, k->ids.len);
}

wb_status wb_eval_ask (wb_eval_answers_t *a, const wb_questions_t *q, const wb_model_t *m, int64_t stride, int rank,
                       int ranks) {
    asking_t k = {.q = q, .a = a, .question = rank, .ranks = ranks};
    wb_scorer_t *scorer;
    double shown = 0.0;
    WB_TRY (wb_scorer_new (&scorer, m, false, keep, &k));
    wb_status status = stride > 0 ? wb_scorer_stride (scorer, stride) : WB_OK;
    for (int64_t i = rank; i < q->n && status == WB_OK; i += ranks) {
        for (int c = 0; c < q->list[i].nchoices && status == WB_OK; c++)
            status = ask (&k, scorer, m->tokenizer, &q->list[i], c);
        if (wb_now () - shown < 0.25) continue;
        shown = wb_now ();
        wb_log_progress ("%lld of %lld questions", (long long) i, (long long) q->n);
    }
    if (status == WB_OK) status = wb_scorer_run (scorer);
    wb_log_progress ("%s", "");
    wb_scorer_destroy (scorer);
    wb_ids_fini (&k.ids);
    wb_ids_fini (&k.choice_ids);
    wb_free (k.lengths);
    return status;
}
