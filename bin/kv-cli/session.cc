#include "bin/kv-cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "bin/client/request.h"
#include "bin/kv-cli/options.h"
#include "proto/base/log.h"

namespace kv::cli {

namespace {

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

}  // namespace

std::string greeting(const client::ClientOptions& options) {
    return fmt::format(
        "Connected to {}:{} ({} mode). Type commands (PING, SET k v, GET k, DEL k, KEYS). Ctrl+D "
        "to quit.\n",
        options.host, options.port, name(options.mode));
}

/// A request that could not be built is answered here, in the words of the mode.
int Session::send(const Result<std::string>& request, Style style) {
    if (!request) {
        client::Reply refusal;
        refusal.kind = client::ReplyKind::error;
        refusal.text = request.error().text();
        print(stdout, render(refusal, style));
        return exit_error_reply;
    }
    const Result<client::Reply> reply = client_.call(*request);
    if (reply) {
        print(stdout, render(*reply, style));
        return reply->refused() ? exit_error_reply : exit_answered;
    }
    connected_ = false;
    log::debug("call failed", log::field("error", reply.error().text()));
    if (reply.error().code == Errc::closed) {
        print(stderr, "Server disconnected.\n");
    } else {
        print(stderr, "kv-cli: " + reply.error().text() + "\n");
    }
    return exit_connect;
}

int Session::run_command(std::span<const std::string> words) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    std::string line;
    for (const std::string& word : words) line.append(word).append(" ");
    const Style style = style_ == Style::quoted && answers_report(line) ? Style::raw : style_;
    return send(encode_words(client_.mode(), views, client_.next_request_id()), style);
}

int Session::run_lines(LineSource& lines) {
    int worst = exit_answered;
    while (connected_) {
        const std::optional<std::string> line = lines.next();
        if (!line) break;
        if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
        if (interactive_ && (*line == "exit" || *line == "quit")) break;
        const Style style = style_ == Style::quoted && answers_report(*line) ? Style::raw : style_;
        const int code = send(encode_line(client_.mode(), *line, client_.next_request_id()), style);
        worst = std::max(worst, code);
    }
    return worst;
}

}  // namespace kv::cli
