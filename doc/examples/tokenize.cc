// tokenize TOKENIZER TEXT - the ids of a text, and the text of the ids, as they come.
//     c++ tokenize.cc $(pkg-config --cflags --libs wabun-tokenizer) -o tokenize
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <vector>
#include <wabun/tokenizer.h>

int main (int argc, char **argv) {
    if (argc != 3) return 2;
    auto check = [] (wabun_status s) {
        if (s != WABUN_OK) std::cerr << "tokenize: " << wabun_error_text () << "\n", std::exit (1);
    };
    wabun_tokenizer *opened = nullptr;
    check (wabun_tokenizer_open (&opened, argv[1]));
    std::unique_ptr<wabun_tokenizer, void (*) (wabun_tokenizer *)> t (opened, wabun_tokenizer_close);
    std::vector<int32_t> ids (std::strlen (argv[2]) + 16);
    size_t n = 0;
    check (wabun_encode (t.get (), ids.data (), ids.size (), &n, argv[2], std::strlen (argv[2]), 0));
    wabun_stream *made = nullptr;
    check (wabun_stream_open (&made, t.get ()));
    std::unique_ptr<wabun_stream, void (*) (wabun_stream *)> stream (made, wabun_stream_close);
    const char *text;
    for (size_t i = 0; i < n; i++) std::cout << ids[i] << (i + 1 < n ? ' ' : '\n');
    for (size_t i = 0, k; i < n; i++)
        check (wabun_stream_put (stream.get (), &text, &k, ids[i])), std::cout.write (text, k);
    check (wabun_stream_finish (stream.get (), &text, &n)), std::cout.write (text, n) << "\n";
}
