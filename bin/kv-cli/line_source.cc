#include "bin/kv-cli/line_source.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "bin/kv-cli/history.h"

#if KV_LIBEDIT
#include <histedit.h>
#endif

namespace kv::cli {

namespace {

class PlainLines final : public LineSource {
public:
    explicit PlainLines(std::string prompt) : prompt_(std::move(prompt)) {}

    std::optional<std::string> next() override {
        if (!prompt_.empty()) {
            std::fwrite(prompt_.data(), 1, prompt_.size(), stdout);
            std::fflush(stdout);
        }
        std::size_t searched = taken_;
        for (;;) {
            const std::size_t end = input_.find('\n', searched);
            if (end != std::string::npos) return take(end, end + 1);
            searched = input_.size();
            if (!read_more()) break;
            searched -= std::exchange(taken_, 0);
        }
        if (taken_ == input_.size()) return std::nullopt;
        return take(input_.size(), input_.size());
    }

    bool ready() const override {
        return prompt_.empty() && input_.find('\n', taken_) != std::string::npos;
    }

private:
    /// Drops what was taken, appends what is there now. False: the end.
    bool read_more() {
        std::array<char, 65536> piece;
        ssize_t bytes = -1;
        do {
            bytes = ::read(STDIN_FILENO, piece.data(), piece.size());
        } while (bytes < 0 && errno == EINTR);
        if (bytes <= 0) return false;
        input_.erase(0, taken_);
        input_.append(piece.data(), static_cast<std::size_t>(bytes));
        return true;
    }

    std::string take(std::size_t end, std::size_t next) {
        std::string line = input_.substr(taken_, end - taken_);
        taken_ = next;
        if (line.ends_with('\r')) line.pop_back();
        return line;
    }

    std::string prompt_;
    std::string input_;
    std::size_t taken_ = 0;  // bytes of input_ that are past lines
};

#if KV_LIBEDIT

class EditedLines final : public LineSource {
public:
    EditedLines(std::string prompt, std::string history_file, const CommandTable& commands)
        : prompt_(std::move(prompt)),
          history_file_(std::move(history_file)),
          commands_(commands),
          edit_(el_init("kv-cli", stdin, stdout, stderr)),
          history_(history_init()) {
        HistEvent event;
        history(history_, &event, H_SETSIZE, static_cast<int>(history_lines_max));
        history(history_, &event, H_SETUNIQUE, 1);
        for (const std::string& line : load_history(history_file_)) {
            history(history_, &event, H_ENTER, line.c_str());
        }
        el_set(edit_, EL_CLIENTDATA, this);
        el_set(edit_, EL_PROMPT, &EditedLines::prompt);
        el_set(edit_, EL_RPROMPT, &EditedLines::hint);
        el_set(edit_, EL_EDITOR, "emacs");
        el_set(edit_, EL_SIGNAL, 1);
        el_set(edit_, EL_HIST, ::history, history_);
        el_set(edit_, EL_ADDFN, "kv-complete", "Complete the command", &EditedLines::complete);
        el_set(edit_, EL_ADDFN, "kv-space", "A space and the hint", &EditedLines::space);
        el_set(edit_, EL_BIND, "^I", "kv-complete", nullptr);
        el_set(edit_, EL_BIND, " ", "kv-space", nullptr);
        el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
        el_source(edit_, nullptr);  // the person's own ~/.editrc
    }
    EditedLines(const EditedLines&) = delete;
    ~EditedLines() override {
        history_end(history_);
        el_end(edit_);
    }

    std::optional<std::string> next() override {
        int bytes = 0;
        const char* const typed = el_gets(edit_, &bytes);
        if (typed == nullptr || bytes <= 0) {
            std::fputs("\n", stdout);
            return std::nullopt;
        }
        std::string line(typed, static_cast<std::size_t>(bytes));
        if (line.ends_with('\n')) line.pop_back();
        if (line.find_first_not_of(' ') != std::string::npos && !keeps_secret(line)) {
            HistEvent event;
            history(history_, &event, H_ENTER, line.c_str());
            append_history(history_file_, line);
        }
        return line;
    }

private:
    static EditedLines& self(EditLine* edit) {
        void* self = nullptr;
        el_get(edit, EL_CLIENTDATA, &self);
        return *static_cast<EditedLines*>(self);
    }

    static std::string_view typed(EditLine* edit) {
        const LineInfo* const line = el_line(edit);
        return {line->buffer, static_cast<std::size_t>(line->cursor - line->buffer)};
    }

    static const char* prompt(EditLine* edit) { return self(edit).prompt_.c_str(); }

    /// libedit asks whenever it draws the line anew, and shows all of a hint or nothing.
    static const char* hint(EditLine* edit) {
        EditedLines& lines = self(edit);
        const std::string_view line = typed(edit);
        int columns = 0;
        el_get(edit, EL_GETTC, "co", &columns);
        const std::size_t taken = lines.prompt_.size() + line.size() + hint_gap;
        const auto room = static_cast<std::size_t>(std::max(columns, 0));
        lines.hint_ = lines.commands_.hint(line);
        if (taken + hint_cut.size() >= room) {
            lines.hint_.clear();
        } else if (lines.hint_.size() > room - taken) {
            lines.hint_.resize(room - taken - hint_cut.size());
            lines.hint_ += hint_cut;
        }
        return lines.hint_.c_str();
    }

    /// libedit draws a plain character without a look at the hint.
    static unsigned char space(EditLine* edit, int) {
        return el_insertstr(edit, " ") == 0 ? CC_REFRESH : CC_ERROR;
    }

    static unsigned char complete(EditLine* edit, int) {
        const Completion found = self(edit).commands_.complete(typed(edit));
        if (!found.insert.empty()) {
            return el_insertstr(edit, found.insert.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
        }
        if (found.choices.empty()) return CC_REFRESH_BEEP;
        std::fputc('\n', stdout);
        for (const std::string& choice : found.choices) std::printf("%s  ", choice.c_str());
        std::fputc('\n', stdout);
        return CC_REDISPLAY;
    }

    static constexpr std::size_t hint_gap = 3;  // columns between the line and its hint
    static constexpr std::string_view hint_cut = "...";

    std::string prompt_;
    std::string history_file_;
    std::string hint_;
    const CommandTable& commands_;
    EditLine* edit_;
    History* history_;
};

#endif

}  // namespace

std::unique_ptr<LineSource> plain_lines(std::string prompt) {
    return std::make_unique<PlainLines>(std::move(prompt));
}

std::unique_ptr<LineSource> terminal_lines(std::string prompt,
                                           [[maybe_unused]] std::string history_file,
                                           [[maybe_unused]] const CommandTable& commands) {
#if KV_LIBEDIT
    return std::make_unique<EditedLines>(std::move(prompt), std::move(history_file), commands);
#else
    return plain_lines(std::move(prompt));
#endif
}

}  // namespace kv::cli
