/* The trainer of SentencePiece for C (sentencepiece_trainer.h). */
#include "config.h"

#ifdef HAVE_SENTENCEPIECE_TRAIN
#include <sentencepiece_trainer.h>

#include <cstdio>
#include <new>
#include <string>
#include <unordered_map>

#include "vocab/sentencepiece_trainer.h"

namespace {

class Sentences : public sentencepiece::SentenceIterator {
  public:
    explicit Sentences (const wb_sp_trainer_t *t) : trainer (t) { Next (); }
    bool done () const override { return end; }
    void Next () override {
        const char *text;
        size_t n;
        end = !trainer->next (trainer->ctx, &text, &n);
        if (!end) sentence.assign (text, n);
    }
    const std::string &value () const override { return sentence; }
    sentencepiece::util::Status status () const override { return sentencepiece::util::Status (); }

  private:
    const wb_sp_trainer_t *trainer;
    std::string sentence;
    bool end = false;
};

wb_sp_status bad (char error[WB_SP_ERROR], const char *what) {
    snprintf (error, WB_SP_ERROR, "%s", what);
    return WB_SP_BAD;
}

} // namespace

extern "C" wb_sp_status wb_sp_train (const wb_sp_trainer_t *t, char error[WB_SP_ERROR]) {
    try {
        std::unordered_map<std::string, std::string> settings;
        for (const char *const *s = t->settings; *s != nullptr; s += 2) settings[s[0]] = s[1];
        Sentences sentences (t);
        std::string model;
        const auto status = sentencepiece::SentencePieceTrainer::Train (settings, &sentences, &model);
        if (!status.ok ()) return bad (error, status.ToString ().c_str ());
        return t->put (t->ctx, model.data (), model.size ()) == 0 ? WB_SP_OK : WB_SP_NOMEM;
    } catch (const std::bad_alloc &) { return WB_SP_NOMEM; } catch (const std::exception &e) {
        return bad (error, e.what ());
    }
}
#endif
