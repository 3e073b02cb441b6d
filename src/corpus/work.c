/* A record on its way to the corpus: extracted, cleaned, measured, filtered, signed.
 *
 * Any number of threads work at once, each with a wb_worker_t of its own.  Not done here: reading and writing. */
#include "config.h"

#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "corpus/build.h"
#include "corpus/content.h"

wb_status wb_works_init (wb_works_t *w, const wb_corpus_options_t *o) {
    *w = (wb_works_t){.o = o, .wants_lines = o->duplicates.lines > 0};
    w->k = o->duplicates.near ? o->duplicates.bands * o->duplicates.rows : 0;
    wb_minhash_init (&w->minhash, w->k, o->duplicates.ngram);
    return o->words != NULL ? wb_words_new (&w->words, o->words) : WB_OK;
}

void wb_works_fini (wb_works_t *w) {
    wb_words_destroy (w->words);
    w->words = NULL;
}

void wb_worker_fini (wb_worker_t *w) {
    wb_extractor_destroy (w->extractor);
    wb_measurer_fini (&w->measurer);
    wb_document_fini (&w->document);
    *w = (wb_worker_t){0};
}

void wb_work_fini (wb_work_t *u) {
    wb_record_fini (&u->record);
    wb_buf_fini (&u->text);
    wb_buf_fini (&u->id);
    wb_buf_fini (&u->licence);
    wb_buf_fini (&u->source);
    wb_free (u->lines);
}

/* Is a licence on the list, "CC0, CC BY*"? */
static bool is_licensed (const char *list, const char *licence) {
    char one[256];
    while (list != NULL && *list != 0) {
        list += strspn (list, ", ");
        const size_t n = strcspn (list, ",");
        snprintf (one, sizeof one, "%.*s", (int) (n < sizeof one ? n : sizeof one - 1), list);
        for (size_t end = strlen (one); end > 0 && one[end - 1] == ' ';) one[--end] = 0;
        if (fnmatch (one, licence, FNM_CASEFOLD) == 0) return true;
        list += n;
    }
    return false;
}

/* The hash of a web site's name: of the host in the id, or of what the record says, if that is not just the input. */
static uint64_t site_of (const wb_works_t *all, const wb_document_t *d) {
    const char *id = d->id.data != NULL ? d->id.data : "", *host = strstr (id, "://");
    if (host != NULL && strncasecmp (id, "http", 4) == 0) {
        host += 3;
        return wb_hash64 (host, strcspn (host, "/?#")) | 1;
    }
    if (d->site.len == 0 || (all->input != NULL && strcmp (d->site.data, all->input) == 0)) return 0;
    return strchr (d->site.data, '/') == NULL ? wb_hash64 (d->site.data, d->site.len) | 1 : 0;
}

static wb_status set (wb_buf_t *to, const wb_buf_t *from, const char *otherwise) {
    wb_buf_clear (to);
    if (from->len > 0) return wb_buf_put (to, from->data, from->len);
    return wb_buf_put (to, otherwise != NULL ? otherwise : "", otherwise != NULL ? strlen (otherwise) : 0);
}

static wb_status keep_lines (wb_work_t *u, const wb_measurer_t *x) {
    u->nlines = 0;
    if (u->site == 0) return WB_OK;
    if (!WB_GROW (u->lines, u->lines_cap, x->nlines + 1)) return WB_NOMEM ("lines of a text");
    for (int64_t i = 0; i < x->nlines; i++) u->lines[i] = wb_site_line (u->site, x->lines[i]);
    u->nlines = x->nlines;
    return WB_OK;
}

wb_status wb_work_record (const wb_works_t *all, wb_worker_t *own, wb_work_t *u) {
    const wb_corpus_source_t *s = all->source;
    wb_document_t *d = &own->document;
    wb_measurer_t *x = &own->measurer;
    bool got;
    u->reason = -1;
    u->nlines = 0;
    if (own->extractor == NULL) {
        const wb_extract_options_t e = {s->from,      s->text_field,
                                        s->id_field,  s->format == WB_FORM_JSON ? WB_FORM_AUTO : s->format,
                                        s->keep_ruby, false};
        WB_TRY (wb_extractor_new (&own->extractor, &e));
    }
    WB_TRY (wb_extract (own->extractor, d, &got, &u->complaint, &u->record));
    if (!got) return WB_OK;
    u->markup = d->form == WB_FORM_TEXT ? wb_content_markup (d->text.data, d->text.len) : WB_FORM_TEXT;
    wb_buf_clear (&u->text);
    WB_TRY (wb_clean_text (&u->text, d->text.data, d->text.len, &all->o->clean));
    WB_TRY (set (&u->id, &d->id, NULL));
    WB_TRY (set (&u->licence, &d->licence, s->licence));
    WB_TRY (set (&u->source, &d->source, s->path));
    WB_TRY (wb_measure (x, &u->measures, u->text.data != NULL ? u->text.data : "", u->text.len, all->words));
    u->reason = wb_filters_pass (&u->measures, all->o->filters);
    if (u->reason == WB_KEPT && all->o->licences != NULL && !is_licensed (all->o->licences, u->licence.data))
        u->reason = WB_REASON_LICENCE;
    if (u->reason != WB_KEPT) return WB_OK;
    u->exact = wb_hash64 (x->chars, (size_t) x->n * sizeof *x->chars);
    if (all->k > 0) wb_minhash_sign (&all->minhash, u->sign, x->chars, x->n);
    u->site = all->wants_lines ? site_of (all, d) : 0;
    return keep_lines (u, x);
}
