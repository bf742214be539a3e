#include "bin/kv-cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "bin/client/request.h"
#include "bin/kv-cli/advice.h"
#include "bin/kv-cli/options.h"
#include "proto/base/log.h"

namespace kv::cli {

namespace {

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

bool blank(const std::string& line) {
    return line.find_first_not_of(" \t\r") == std::string::npos;
}

}  // namespace

std::string greeting(const client::ClientOptions& options) {
    return fmt::format(
        "Connected to {}:{} ({} mode). Type commands (PING, SET k v, GET k, DEL k, KEYS). Ctrl+D "
        "to quit.\n",
        options.host.find(':') == options.host.npos ? options.host : "[" + options.host + "]",
        options.port, name(options.mode));
}

void Session::add(Result<std::string> request, Style style) {
    if (request) {
        requests_ += *request;
        asked_.push_back({style, {}});
    } else {
        asked_.push_back({style, fail(std::move(request.error()))});
    }
}

/// Below an error, once for each kind of it.
void Session::advise(const std::string& text) {
    if (!text.empty() && advised_.insert(text).second) print(stderr, text + "\n");
}

int Session::show(const client::Reply& reply, Style style) {
    print(stdout, render(reply, style));
    advise(advice(reply, client_.mode()));
    return reply.refused() ? exit_error_reply : exit_answered;
}

int Session::fail_call(const Error& error, std::size_t unanswered) {
    connected_ = false;
    log::debug("call failed", log::field("error", error.text()));
    print(stderr,
          error.code == Errc::closed ? "Server disconnected.\n" : "kv-cli: " + error.text() + "\n");
    advise(advice(error, client_.mode(), unanswered));
    return exit_connect;
}

/// Sends what add() gathered and prints the replies, those of requests that could not be built in
/// the words of the mode.
int Session::send_batch() {
    const std::string requests = std::exchange(requests_, {});
    const std::vector<Asked> asked = std::exchange(asked_, {});
    auto unanswered = static_cast<std::size_t>(
        std::ranges::count_if(asked, [](const Asked& each) { return each.encoded.has_value(); }));
    bool sent = false;
    int worst = exit_answered;
    for (const Asked& each : asked) {
        if (!each.encoded) {
            client::Reply refusal;
            refusal.kind = client::ReplyKind::error;
            refusal.text = each.encoded.error().text();
            worst = std::max(worst, show(refusal, each.style));
            continue;
        }
        const auto reply =
            std::exchange(sent, true) ? client_.next_reply() : client_.call(requests);
        for (const client::Reply& push : client_.take_pushes()) show(push, style_);
        if (!reply) return std::max(worst, fail_call(reply.error(), unanswered));
        --unanswered;
        worst = std::max(worst, show(*reply, each.style));
    }
    return worst;
}

int Session::run_command(std::span<const std::string> words) {
    const std::vector<std::string_view> views(words.begin(), words.end());
    std::string line;
    for (const std::string& word : words) line.append(word).append(" ");
    const Style style = style_ == Style::quoted && answers_report(line) ? Style::raw : style_;
    add(encode_words(client_.mode(), views, client_.next_request_id()), style);
    return send_batch();
}

bool Session::answered_here(const std::string& line) {
    if (commands_ == nullptr) return false;
    if (line != "help" && !line.starts_with("help ")) return false;
    print(stdout, commands_->help(std::string_view(line).substr(
                      std::min<std::size_t>(line.size(), std::string_view("help ").size()))));
    return true;
}

int Session::run_lines(LineSource& lines) {
    int worst = exit_answered;
    while (connected_) {
        const std::optional<std::string> line = lines.next();
        if (!line || (commands_ != nullptr && (*line == "exit" || *line == "quit"))) break;
        if (!blank(*line) && !answered_here(*line)) {
            const bool report = style_ == Style::quoted && answers_report(*line);
            add(encode_line(client_.mode(), *line, client_.next_request_id()),
                report ? Style::raw : style_);
        }
        const bool full =
            asked_.size() >= batch_commands_max || requests_.size() >= batch_bytes_max;
        if (full || !lines.ready()) worst = std::max(worst, send_batch());
    }
    return worst;
}

int Session::run_scan(const std::string& pattern, std::uint64_t count) {
    const std::string count_text = std::to_string(count);
    std::string cursor = "0";
    do {
        std::vector<std::string_view> words{"SCAN", cursor};
        if (!pattern.empty()) words.insert(words.end(), {"MATCH", pattern});
        if (count != 0) words.insert(words.end(), {"COUNT", count_text});
        const Result<client::Reply> reply = client_.call(words);
        if (!reply) return fail_call(reply.error(), 1);
        if (reply->refused()) {
            print(stderr, "kv-cli: " + reply->text + "\n");
            advise(reply->text.find("unknown command") != std::string::npos
                       ? "This server has no SCAN: `kv-cli -r KEYS <pattern>` lists all keys at "
                         "once."
                       : advice(*reply, client_.mode()));
            return exit_error_reply;
        }
        if (reply->items.size() != 2) {
            print(stderr, "kv-cli: the answer to SCAN is not a cursor and keys\n");
            return exit_error_reply;
        }
        std::string lines;
        for (const client::Reply& key : reply->items[1].items) lines += render(key, style_);
        print(stdout, lines);
        cursor = reply->items[0].text;
    } while (cursor != "0");
    return exit_answered;
}

}  // namespace kv::cli
