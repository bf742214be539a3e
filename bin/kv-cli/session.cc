#include "bin/kv-cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
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

std::string greeting(const client::Address& server, client::Mode mode) {
    return fmt::format(
        "Connected to {} ({} mode). Type commands (PING, SET k v, GET k, DEL k, KEYS). Ctrl+D "
        "to quit.\n",
        server.text(), name(mode));
}

void Session::add(Result<std::string> request, Style style) {
    if (request) {
        request_bytes_ += request->size();
        requests_.emplace_back(client_.mode(), *std::move(request));
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
    if (outcome_unknown(reply)) return exit_unknown;
    return reply.refused() ? exit_error_reply : exit_answered;
}

int Session::fail_call(const Error& error, std::span<const client::Exchange> unanswered) {
    connected_ = false;
    log::debug("call failed", log::field("error", error.text()));
    print(stderr,
          error.code == Errc::closed ? "Server disconnected.\n" : "kv-cli: " + error.text() + "\n");
    const auto sent = std::ranges::count_if(unanswered, &client::Exchange::sent);
    if (sent == 0) return exit_connect;
    advise(advice(error, client_.mode(), static_cast<std::size_t>(sent)));
    const bool may_have_written = std::ranges::any_of(
        unanswered, [](const auto& each) { return each.sent && !each.route.reads; });
    return may_have_written ? exit_unknown : exit_connect;
}

/// Sends what add() gathered and prints the replies, those of requests that could not be built in
/// the words of the mode.
int Session::send_batch() {
    std::vector<client::Exchange> requests = std::exchange(requests_, {});
    const std::vector<Asked> asked = std::exchange(asked_, {});
    request_bytes_ = 0;
    int worst = exit_answered;
    auto next = asked.begin();
    const auto show_unsent = [&] {
        for (; next != asked.end() && !next->encoded; ++next) {
            client::Reply refusal;
            refusal.kind = client::ReplyKind::error;
            refusal.text = next->encoded.error().text();
            worst = std::max(worst, show(refusal, next->style));
        }
    };
    std::size_t answered = 0;
    const Status status = client_.run(requests, [&](client::Exchange& exchange) {
        show_unsent();
        for (const client::Reply& push : exchange.pushes) show(push, style_);
        worst = std::max(worst, show(exchange.reply, next->style));
        exchange.reply = {};
        ++answered;
        ++next;
    });
    show_unsent();
    if (status) return worst;
    return std::max(worst, fail_call(status.error(), std::span(requests).subspan(answered)));
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
        const bool full = asked_.size() >= batch_commands_max || request_bytes_ >= batch_bytes_max;
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
        auto request = encode_words(client_.mode(), words, client_.next_request_id());
        if (!request) return fail_call(request.error(), {});
        std::array<client::Exchange, 1> step{client::Exchange(client_.mode(), *std::move(request))};
        const Status status = client_.run(step, [](client::Exchange&) {});
        if (!status) return fail_call(status.error(), step);
        const client::Reply* const reply = &step.front().reply;
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
