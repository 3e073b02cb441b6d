/* Options of a corpus: those of the filters come from their table. */
#include "config.h"

#include "corpus/filters.h"

#define OF(field) WB_OPTION_AT (wb_corpus_source_t, field)
static const wb_option_t source[] = {
    {"path", WB_OPTION_TEXT, OF (path), "=must be given", .unit = "path",
     .help = "file, directory, or pattern such as \"crawl/*.warc.gz\""},
    {"genre", WB_OPTION_TEXT, OF (genre), "general", .unit = "word", .help = "names the shards; any word"},
    {"licence", WB_OPTION_TEXT, OF (licence), "", .unit = "text",
     .help = "goes with each document that names none itself"},
    {"weight", WB_OPTION_FLOAT, OF (weight), "=that of the genre's other sources, or 1", .max = WB_OPTION_MANY,
     .help = "of its genre, all sources of it together, in the printed example of data.train"},
    {"format", WB_OPTION_CHOICE, OF (format), "auto", .choices = wb_form_names, .help = "what the texts are"},
    {"from", WB_OPTION_TEXT, OF (from), "=found out", .unit = "encoding", .help = "encoding of the texts"},
    {"text_field", WB_OPTION_TEXT, OF (text_field), "=text", .unit = "name",
     .help = "field of a line of JSON that is its text"},
    {"id_field", WB_OPTION_TEXT, OF (id_field), "=id, url or title", .unit = "name", .help = "field that names it"},
    {"keep_ruby", WB_OPTION_BOOL, OF (keep_ruby), "false", .help = "keep readings, as in ｜漢字《かんじ》"},
    {0},
};

#define AT(field) WB_OPTION_AT (wb_corpus_options_t, field)
#define BOUND(option, reason, measure, least, fallback, most, unit_, help_, source)                \
    {"filters." #option, WB_OPTION_FLOAT, AT (filters[WB_FILTER_##option]), fallback, .max = most, \
     .unit = unit_,      .help = help_},

const wb_option_t wb_corpus_options[] = {
    {"corpus", WB_OPTION_TEXT, AT (dir), "=must be given", .unit = "directory", .help = "where the corpus is made"},
    {"sources", WB_OPTION_GROUPS, AT (sources), "=must be given", .unit = "( { path = ...; }, ... )",
     .help = "what it is made of, in the order of preference", .members = source,
     .member_bytes = sizeof (wb_corpus_source_t)},
    {"validation", WB_OPTION_FLOAT, AT (validation), "0.01", .max = 0.5, .unit = "share",
     .help = "documents of each genre for validation, chosen by their hash"},
    {"shard_bytes", WB_OPTION_INT, AT (shard_bytes), "268435456", .min = 1024, .max = WB_OPTION_MANY, .unit = "bytes",
     .help = "text in a shard, before it is packed"},
    {"level", WB_OPTION_INT, AT (level), "6", .min = 1, .max = 19, .help = "of compression of the shards by zstd"},
    {"max_record", WB_OPTION_INT, AT (max_record), "67108864", .min = 1024, .max = 2147483647, .unit = "bytes",
     .help = "longer records are skipped"},
    {"memory", WB_OPTION_INT, AT (memory), "268435456", .min = 65536, .max = WB_OPTION_MANY, .unit = "bytes",
     .help = "memory of a rank for sorting; what does not fit goes to disk"},
    {"threads", WB_OPTION_INT, AT (threads), "0", .max = 4096, .help = "threads of a rank; 0: cores / ranks"},
    {"keep_work", WB_OPTION_BOOL, AT (keep_work), "false",
     .help = "keep DIR/.work, so that a corpus that grows reads only what is new"},
    {"clean.nfkc", WB_OPTION_BOOL, AT (clean.nfkc), "false", .help = "normalise by Unicode's NFKC"},
    {"clean.fold_kana", WB_OPTION_BOOL, AT (clean.fold_kana), "false", .help = "half-width kana become full-width"},
    {"clean.fold_ascii", WB_OPTION_BOOL, AT (clean.fold_ascii), "false", .help = "full-width ASCII becomes ASCII"},
    WB_FILTERS (BOUND){"filters.words", WB_OPTION_TEXT, AT (words), "=none", .unit = "file",
                       .help = "words, one a line, for filters.max_words"},
    {"filters.licences", WB_OPTION_TEXT, AT (licences), "=any", .unit = "list",
     .help = "licences that may stay, as in \"CC0, CC BY*\""},
    {"duplicates.exact", WB_OPTION_BOOL, AT (duplicates.exact), "true",
     .help = "drop texts that are the same but for blanks and width"},
    {"duplicates.near", WB_OPTION_BOOL, AT (duplicates.near), "true",
     .help = "drop texts that are nearly the same (MinHash)"},
    {"duplicates.ngram", WB_OPTION_INT, AT (duplicates.ngram), "5", .min = 1, .max = 64, .unit = "characters",
     .help = "length of the n-grams that are compared"},
    {"duplicates.bands", WB_OPTION_INT, AT (duplicates.bands), "20", .min = 1, .max = 128,
     .help = "bands of the signature"},
    {"duplicates.rows", WB_OPTION_INT, AT (duplicates.rows), "6", .min = 1, .max = 32,
     .help = "values of a band; bands x rows: 512 at most"},
    {"duplicates.threshold", WB_OPTION_FLOAT, AT (duplicates.threshold), "0.7", .max = 1, .unit = "Jaccard",
     .help = "similarity from which texts are near duplicates"},
    {"duplicates.lines", WB_OPTION_INT, AT (duplicates.lines), "10", .max = 1e9, .unit = "documents",
     .help = "lines that so many documents of a web site have are taken out; 0: never"},
    {0},
};
