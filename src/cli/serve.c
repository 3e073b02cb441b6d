/* wabun serve: models over HTTP. */
#include "config.h"

#include "cli/cli.h"
#include "wabun/serve.h"

static wb_status run (int argc, char **argv) {
    wb_opts_t o = wb_opts_begin (argc, argv);
    wb_serve_t s = wb_serve_defaults ();
    wb_status status;
    while (wb_serve_next (&s, &o, &status))
        return wb_model_args_unknown (&(wb_model_args_t){.model = s.models[0]}, &o, "each with its own --model");
    return status == WB_OK ? wb_serve_run (&s) : status;
}

const wb_cmd_t wb_cmd_serve = {
    .name = "serve",
    .usage = "--model [NAME=]DIR... [OPTION]...",
    .line = "answer over HTTP: an API, and a page to write on",
    .run = run,
    .flags = WB_CMD_COMPUTES | WB_CMD_STAYS,
    .text =
        "  --model [NAME=]DIR   a checkpoint or any Hugging Face GPT-2 directory; several, each with a name\n"
        "  --host ADDRESS       where to listen (default 127.0.0.1: this machine only; 0.0.0.0: everywhere)\n"
        "  --port N             0: any that is free (default 8080)\n"
        "  --api-keys FILE      only who sends a key of this file may ask: one a line, # for comments\n"
        "  --allow-origin URL   pages of this address may use the API as well (CORS)\n"
        "  --texts N            texts written at a time (default 64)\n"
        "  --cache-mib N        memory for keys and values of each model, taken as it is needed (default: what the\n"
        "                       texts can need, but no more than a quarter of the memory that is free)\n"
        "  --tokenizer T        instead of the models' own\n"
        "  --threads N          default: OMP_NUM_THREADS, or the cores\n"
        "  --weights T          round the matrices to bf16 or int8: half and a quarter of the memory, and faster\n"
        "  --cache T            bf16: keys and values in half the memory, faster with many or long texts\n"
        "  --no-verify          do not compare the models with their checksums.json\n"
        "  --share              map the weights from weights.panels in each model's directory, which is made if\n"
        "                       need be: processes that do so have them in memory once, and start at once\n"
        "\n"
        "Limits:\n"
        "  --queue N            requests under way or waiting, after which others are refused (default 512)\n"
        "  --per-client N       those of one client: of a key, or of an address (default 256)\n"
        "  --max-body BYTES     of a request (default 4194304)\n"
        "  --max-tokens N       that a request may ask for, its texts together (default 262144)\n"
        "  --max-seconds N      that a request may take (default 600)\n"
        "  --client-seconds N   that a client may take to send a request or to read an answer (default 60)\n"
        "\n"
        "Prints its address when it is ready.  The API is OpenAI's: POST /v1/completions (stream, n, echo, logprobs,\n"
        "stop, seed, max_tokens, temperature, top_p, top_k, min_p, beams), /v1/chat/completions, /v1/embeddings, GET\n"
        "/v1/models; beside it POST /tokenize, /detokenize and /score, GET /health and /metrics (OpenMetrics).\n"
        "SIGTERM finishes what is under way, for half a minute at most, and answers 503 to what comes meanwhile;\n"
        "SIGHUP reads models and keys anew, while texts are written on with the old ones.\n"
        "\n"
        "Conversations (/v1/chat/completions) are for a model that was trained for them and has a file chat.json\n"
        "in its directory, the texts around what each says: {\"user\": \"Q: {content}\\n\", \"assistant\":\n"
        "\"A: {content}\\n\", \"reply\": \"A: \", \"stop\": [\"\\n\"]}, if need be with \"system\" and \"begin\".  The "
        "messages\n"
        "follow each other, then comes reply, and the model goes on; <|endoftext|> is that token.\n",
};
