#include "bin/kv-cli/line_source.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#if KV_LIBEDIT
#include <histedit.h>
#endif

namespace kv::cli {

namespace {

class PlainLines final : public LineSource {
public:
    explicit PlainLines(std::string prompt) : prompt_(std::move(prompt)) {}
    PlainLines(const PlainLines&) = delete;
    ~PlainLines() override { std::free(line_); }

    std::optional<std::string> next() override {
        if (!prompt_.empty()) {
            std::fwrite(prompt_.data(), 1, prompt_.size(), stdout);
            std::fflush(stdout);
        }
        const ssize_t bytes = getline(&line_, &capacity_, stdin);
        if (bytes < 0) return std::nullopt;
        std::string line(line_, static_cast<std::size_t>(bytes));
        if (line.ends_with('\n')) line.pop_back();
        if (line.ends_with('\r')) line.pop_back();
        return line;
    }

private:
    std::string prompt_;
    char* line_ = nullptr;
    std::size_t capacity_ = 0;
};

#if KV_LIBEDIT

constexpr int history_lines_max = 1000;

class EditedLines final : public LineSource {
public:
    EditedLines(std::string prompt, std::string history_file)
        : prompt_(std::move(prompt)),
          history_file_(std::move(history_file)),
          edit_(el_init("kv-cli", stdin, stdout, stderr)),
          history_(history_init()) {
        HistEvent event;
        history(history_, &event, H_SETSIZE, history_lines_max);
        history(history_, &event, H_SETUNIQUE, 1);
        if (!history_file_.empty()) history(history_, &event, H_LOAD, history_file_.c_str());
        el_set(edit_, EL_CLIENTDATA, this);
        el_set(edit_, EL_PROMPT, &EditedLines::prompt);
        el_set(edit_, EL_EDITOR, "emacs");
        el_set(edit_, EL_SIGNAL, 1);
        el_set(edit_, EL_HIST, ::history, history_);
    }
    EditedLines(const EditedLines&) = delete;
    ~EditedLines() override {
        if (!history_file_.empty()) {
            HistEvent event;
            const mode_t before = umask(0077);  // commands hold values
            history(history_, &event, H_SAVE, history_file_.c_str());
            umask(before);
        }
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
        HistEvent event;
        if (!line.empty()) history(history_, &event, H_ENTER, line.c_str());
        return line;
    }

private:
    static const char* prompt(EditLine* edit) {
        void* self = nullptr;
        el_get(edit, EL_CLIENTDATA, &self);
        return static_cast<EditedLines*>(self)->prompt_.c_str();
    }

    std::string prompt_;
    std::string history_file_;
    EditLine* edit_;
    History* history_;
};

#endif

}  // namespace

std::unique_ptr<LineSource> plain_lines(std::string prompt) {
    return std::make_unique<PlainLines>(std::move(prompt));
}

std::unique_ptr<LineSource> terminal_lines(std::string prompt,
                                           [[maybe_unused]] std::string history_file) {
#if KV_LIBEDIT
    return std::make_unique<EditedLines>(std::move(prompt), std::move(history_file));
#else
    return plain_lines(std::move(prompt));
#endif
}

std::string history_path() {
    if (const char* path = std::getenv("KV_CLI_HISTORY"); path != nullptr) return path;
    const char* const home = std::getenv("HOME");
    return home != nullptr && *home != '\0' ? std::string(home) + "/.kv_cli_history"
                                            : std::string();
}

}  // namespace kv::cli
