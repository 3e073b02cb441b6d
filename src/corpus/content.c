/* What bytes are, by their beginning: binary data of some kind, or text with some markup.
 *
 * Not done here: encodings (charset.c), archives (they tell themselves, archive.c). */
#include "config.h"

#include <string.h>

#include "corpus/charset.h"
#include "corpus/archive.h"
#include "corpus/content.h"
#include "corpus/reader.h"

static const struct {
    const char *magic;
    size_t n;
    const char *what;
} magics[] = {{"\xff\xd8\xff", 3, "a JPEG picture"},
              {"\x89PNG", 4, "a PNG picture"},
              {"GIF8", 4, "a GIF picture"},
              {"RIFF", 4, "sound, a film or a picture"},
              {"OggS", 4, "sound or a film"},
              {"ID3", 3, "sound"},
              {"%PDF-", 5, "a PDF document"},
              {"\xd0\xcf\x11\xe0", 4, "an office document"},
              {"SQLite format 3", 15, "a database"},
              {"\x7f"
               "ELF",
               4, "a program"},
              {"MMIDIDX", 7, "a token file"}};

enum { MAGICS = sizeof magics / sizeof magics[0] };

/* Zero bytes and control characters that no text has, more than a stray one. */
static bool is_binary (const char *s, size_t n) {
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char) s[i];
        bad += c < 0x20 && !(c >= '\t' && c <= '\r') && c != 0x1b && c != 0x1a;
    }
    return bad > 1 && bad > n / 500;
}

int wb_content_binary (const char *s, size_t n) {
    for (int i = 0; i < MAGICS; i++)
        if (n >= magics[i].n && memcmp (s, magics[i].magic, magics[i].n) == 0) return i + 1;
    if (!is_binary (s, n)) return 0;
    const wb_charset c = wb_charset_guess (s, n, NULL);
    const bool wide = c >= WB_CHARSET_UTF16LE && c <= WB_CHARSET_UTF32BE;
    return wide ? 0 : MAGICS + 1;
}

const char *wb_content_name (int binary) {
    return binary <= 0 ? NULL : binary <= MAGICS ? magics[binary - 1].what : "binary data";
}

bool wb_content_packed (const char *s, size_t n) {
    return wb_packing_is (s, n) || wb_archive_is (s, n) || (n >= 8 && memcmp (s, "WARC/1.", 7) == 0);
}

static bool has (const char *s, size_t n, const char *what) { return memmem (s, n, what, strlen (what)) != NULL; }

wb_form wb_content_form (const char *s, size_t n) {
    enum { START = 1024, PAGE = 1 << 16 };
    char start[START];
    const size_t k = n < START ? n : START;
    for (size_t i = 0; i < k; i++) start[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char) (s[i] - 'A' + 'a') : s[i];
    if (has (start, k, "<mediawiki")) return WB_FORM_WIKI;
    if (has (start, k, "<html") || has (start, k, "<!doctype html")) return WB_FORM_HTML;
    if (n > PAGE) n = PAGE;
    return has (s, n, "［＃") || (has (s, n, "《") && has (s, n, "｜")) ? WB_FORM_AOZORA : WB_FORM_TEXT;
}

/* How often the byte c is in s [n], where marks() says that it is markup. */
static int count (const char *s, size_t n, char c, bool (*marks) (const char *s, size_t left, bool line)) {
    int found = 0;
    for (const char *p = s, *end = s + n; p < end && (p = memchr (p, c, (size_t) (end - p))) != NULL; p++)
        if (marks (p, (size_t) (end - p), p == s || p[-1] == '\n')) found++, p++;
    return found;
}

/* "</p", "<br>" */
static bool is_tag (const char *s, size_t left, bool line) {
    static const char *const tags[] = {"<br>",  "<br/",    "<br ", "<p>", "<p ", "<div",
                                       "<span", "<a href", "<img", "<td", "<li>"};
    (void) line;
    if (left > 2 && s[1] == '/' && s[2] >= 'a' && s[2] <= 'z') return true;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (left >= strlen (tags[i]) && memcmp (s, tags[i], strlen (tags[i])) == 0) return true;
    return false;
}
static bool is_entity (const char *s, size_t left, bool line) {
    (void) line;
    return left >= 6 && (memcmp (s, "&nbsp;", 6) == 0 || memcmp (s, "&quot;", 6) == 0);
}
/* "[[", "{{" */
static bool is_double (const char *s, size_t left, bool line) {
    (void) line;
    return left > 1 && s[1] == s[0];
}
/* Three quotes: bold. */
static bool is_bold (const char *s, size_t left, bool line) {
    (void) line;
    return left > 2 && s[1] == '\'' && s[2] == '\'';
}
/* "== Title ==" */
static bool is_heading (const char *s, size_t left, bool line) { return line && left > 1 && s[1] == '='; }

wb_form wb_content_markup (const char *s, size_t n) {
    enum { START = 1 << 13, SOME = 3 };
    const wb_form form = wb_content_form (s, n);
    if (form != WB_FORM_TEXT) return form;
    if (n > START) n = START;
    const int links = count (s, n, '[', is_double) + count (s, n, '{', is_double);
    const int looks = count (s, n, '\'', is_bold) + count (s, n, '=', is_heading);
    if (links > 0 && links + looks >= SOME) return WB_FORM_WIKI; /* first: its pages have tags too, such as <br> */
    return count (s, n, '<', is_tag) + count (s, n, '&', is_entity) >= SOME ? WB_FORM_HTML : WB_FORM_TEXT;
}

const char *wb_content_markup_name (wb_form form) {
    static const char *const names[WB_FORMS] = {[WB_FORM_AOZORA] = "Aozora Bunko's notes (《》 ［＃］)",
                                                [WB_FORM_HTML] = "HTML",
                                                [WB_FORM_WIKI] = "MediaWiki's markup"};
    return names[form];
}

void wb_content_markup_warn (const int64_t count[WB_FORMS], const char *const such[WB_FORMS], const char *where,
                             const char *cure) {
    int64_t all = 0;
    for (int f = 0; f < WB_FORMS; f++) all += count[f];
    for (int f = 0; f < WB_FORMS; f++)
        if (wb_content_markup_name ((wb_form) f) != NULL && count[f] > all / 100)
            wb_warn ("%s%lld of %lld texts%s%s%s have %s, which is taken as text; %s format = \"%s\" takes it out",
                     where, (long long) count[f], (long long) all, such[f] != NULL ? " (such as " : "",
                     such[f] != NULL ? such[f] : "", such[f] != NULL ? ")" : "", wb_content_markup_name ((wb_form) f),
                     cure, wb_form_names[f]);
}
