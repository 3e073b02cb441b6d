/* SentencePiece for C (sentencepiece_shim.h).  A processor's const functions may be called by many threads at once. */
#include "config.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "tokenizer/sentencepiece_shim.h"

struct wb_sp {
    sentencepiece::SentencePieceProcessor processor;
};

namespace {

static_assert (sizeof (int) == sizeof (int32_t), "ids are int32_t");

wb_sp_status bad (char error[WB_SP_ERROR], const char *what) {
    snprintf (error, WB_SP_ERROR, "%s", what);
    return WB_SP_BAD;
}

/* Run f, which returns a wb_sp_status; turn whatever it throws into one. */
template <typename F> wb_sp_status guard (char error[WB_SP_ERROR], F f) {
    try {
        return f ();
    } catch (const std::bad_alloc &) { return WB_SP_NOMEM; } catch (const std::exception &e) {
        return bad (error, e.what ());
    } catch (...) { return bad (error, "an unknown exception"); }
}

} // namespace

extern "C" {

wb_sp_status wb_sp_open (wb_sp_t **out, char error[WB_SP_ERROR], const void *data, size_t bytes) {
    *out = nullptr;
    return guard (error, [&] {
        std::unique_ptr<wb_sp> s (new wb_sp);
        const auto status =
            s->processor.LoadFromSerializedProto (absl::string_view (static_cast<const char *> (data), bytes));
        if (!status.ok ()) return bad (error, status.ToString ().c_str ());
        *out = s.release ();
        return WB_SP_OK;
    });
}

void wb_sp_close (wb_sp_t *s) { delete s; }

int32_t wb_sp_size (const wb_sp_t *s) { return s->processor.GetPieceSize (); }

int32_t wb_sp_eos (const wb_sp_t *s) { return s->processor.eos_id (); }

int32_t wb_sp_find (const wb_sp_t *s, const char *piece) {
    const int id = s->processor.PieceToId (piece);
    return id >= 0 && id < s->processor.GetPieceSize () && s->processor.IdToPiece (id) == piece ? id : -1;
}

wb_sp_kind wb_sp_piece (const wb_sp_t *s, const char **piece, size_t *n, int32_t id) {
    const std::string &text = s->processor.IdToPiece (id);
    *piece = text.data ();
    *n = text.size ();
    return s->processor.IsControl (id)   ? WB_SP_CONTROL
           : s->processor.IsUnknown (id) ? WB_SP_UNKNOWN
           : s->processor.IsByte (id)    ? WB_SP_BYTE
                                         : WB_SP_TEXT;
}

wb_sp_status wb_sp_encode (const wb_sp_t *s, int (*put) (void *ctx, const int32_t *ids, size_t n), void *ctx,
                           char error[WB_SP_ERROR], const char *text, size_t n) {
    return guard (error, [&] {
        std::vector<int> ids;
        const auto status = s->processor.Encode (absl::string_view (text, n), &ids);
        if (!status.ok ()) return bad (error, status.ToString ().c_str ());
        return put (ctx, ids.data (), ids.size ()) == 0 ? WB_SP_OK : WB_SP_NOMEM;
    });
}

wb_sp_status wb_sp_decode (const wb_sp_t *s, int (*put) (void *ctx, const char *text, size_t n), void *ctx,
                           char error[WB_SP_ERROR], const int32_t *ids, size_t n) {
    return guard (error, [&] {
        std::string text;
        const auto status = s->processor.Decode (std::vector<int> (ids, ids + n), &text);
        if (!status.ok ()) return bad (error, status.ToString ().c_str ());
        return put (ctx, text.data (), text.size ()) == 0 ? WB_SP_OK : WB_SP_NOMEM;
    });
}

} // extern "C"
