/* The page: a few files, which are in the program (page/embed.awk). */
#include "config.h"

#include "src/serve/page_files.h"

#include "serve/http.h"

static void answer (wb_exchange_t *x, const char *type, const char *data, size_t n) {
    wb_answer_response (x, 200, type, MHD_create_response_from_buffer (n, (void *) data, MHD_RESPMEM_PERSISTENT));
}

#define PAGE(name, type, file) \
    void name (wb_exchange_t *x) { answer (x, type, file, sizeof file - 1); }
PAGE (wb_answer_page, "text/html; charset=utf-8", page_index_html)
PAGE (wb_answer_style, "text/css; charset=utf-8", page_style_css)
PAGE (wb_answer_script, "text/javascript; charset=utf-8", page_page_js)
PAGE (wb_answer_words, "text/javascript; charset=utf-8", page_words_js)
PAGE (wb_answer_icon, "image/svg+xml", page_icon_svg)
