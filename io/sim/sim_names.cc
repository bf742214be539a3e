#include "io/sim/sim_names.h"

#include <algorithm>

namespace kv::io {

std::string sim_path(std::string_view path) {
    while (path.starts_with("./")) path.remove_prefix(2);
    if (path == ".") return {};
    std::string clean;
    clean.reserve(path.size());
    for (const char c : path) {
        if (c == '/' && !clean.empty() && clean.back() == '/') continue;
        clean.push_back(c);
    }
    if (clean.size() > 1 && clean.back() == '/') clean.pop_back();
    return clean;
}

std::string_view sim_parent(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return {};
    return path.substr(0, slash == 0 ? 1 : slash);
}

namespace {

bool is_root(std::string_view path) {
    return path.empty() || path == "/";
}

}  // namespace

const SimFileRef* SimNames::find(std::string_view path) const {
    const auto found = visible_.find(path);
    return found == visible_.end() ? nullptr : &found->second;
}

bool SimNames::is_directory(std::string_view path) const {
    if (is_root(path)) return true;
    const SimFileRef* found = find(path);
    return found != nullptr && *found == nullptr;
}

std::vector<std::string> SimNames::list(std::string_view directory) const {
    std::string prefix(directory);
    if (!prefix.empty() && prefix.back() != '/') prefix.push_back('/');
    std::vector<std::string> names;
    for (auto it = visible_.lower_bound(prefix); it != visible_.end(); ++it) {
        if (!it->first.starts_with(prefix)) break;
        const std::string_view rest = std::string_view(it->first).substr(prefix.size());
        if (!rest.empty() && rest.find('/') == std::string_view::npos) names.emplace_back(rest);
    }
    std::sort(names.begin(), names.end());
    return names;
}

SimNames::Table SimNames::durable() const {
    Table table = base_;
    for (const Change& change : changes_) {
        if (change.durable()) apply(table, change);
    }
    drop_orphans(table);
    return table;
}

void SimNames::apply(Table& table, const Change& change) {
    if (!change.from.empty()) {
        // Only if that name still means this file: an earlier change may have been lost.
        const auto found = table.find(change.from);
        if (found != table.end() && found->second == change.file) table.erase(found);
    }
    if (!change.to.empty()) table[change.to] = change.file;
}

std::uint64_t SimNames::push(Change change) {
    apply(visible_, change);
    change.from_durable = change.from.empty();
    change.to_durable = change.to.empty();
    changes_.push_back(std::move(change));
    return first_change_ + changes_.size() - 1;
}

std::uint64_t SimNames::create(std::string path, SimFileRef file) {
    Change change;
    change.to = std::move(path);
    change.file = std::move(file);
    return push(std::move(change));
}

std::uint64_t SimNames::rename(std::string from, std::string to) {
    Change change;
    change.file = *find(from);
    change.from = std::move(from);
    change.to = std::move(to);
    return push(std::move(change));
}

std::uint64_t SimNames::unlink(std::string path) {
    Change change;
    change.file = *find(path);
    change.from = std::move(path);
    return push(std::move(change));
}

void SimNames::acknowledge(std::uint64_t change, std::uint64_t clock) noexcept {
    if (change < first_change_ || change - first_change_ >= changes_.size()) return;
    changes_[static_cast<std::size_t>(change - first_change_)].acknowledged = clock;
}

void SimNames::sync(std::string_view directory, std::uint64_t clock, Prng& prng) {
    for (Change& change : changes_) {
        if (change.durable()) continue;
        const bool from_here = !change.from_durable && sim_parent(change.from) == directory;
        const bool to_here = !change.to_durable && sim_parent(change.to) == directory;
        if (!from_here && !to_here) continue;
        const bool covered = change.acknowledged != 0 && change.acknowledged < clock;
        if (!covered && prng.below(2) == 0) continue;
        change.from_durable = change.from_durable || from_here;
        change.to_durable = change.to_durable || to_here;
    }
    settle();
}

void SimNames::settle() {
    while (!changes_.empty() && changes_.front().durable()) {
        apply(base_, changes_.front());
        changes_.pop_front();
        ++first_change_;
    }
}

void SimNames::crash_process() noexcept {
    for (Change& change : changes_)
        change.acknowledged = std::max<std::uint64_t>(change.acknowledged, 1);
}

void SimNames::lose_power(SimLoss loss, Prng& prng) {
    if (changes_.empty()) return;
    const auto count = static_cast<std::uint64_t>(std::count_if(
        changes_.begin(), changes_.end(), [](const Change& c) { return !c.durable(); }));
    std::uint64_t keep = 0;
    if (loss == SimLoss::tail) keep = prng.below(count + 1);
    if (loss == SimLoss::nothing) keep = count;
    for (const Change& change : changes_) {
        bool kept = change.durable();
        if (!kept && loss == SimLoss::any) {
            kept = prng.below(2) == 0;
        } else if (!kept && keep > 0) {
            --keep;
            kept = true;
        }
        if (kept) apply(base_, change);
    }
    first_change_ += changes_.size();
    changes_.clear();
    drop_orphans(base_);
    visible_ = base_;
}

// Parents sort before what is inside them.
void SimNames::drop_orphans(Table& table) {
    for (auto it = table.begin(); it != table.end();) {
        const std::string_view parent = sim_parent(it->first);
        const auto found = table.find(parent);
        const bool has_parent = is_root(parent) || (found != table.end() && !found->second);
        it = has_parent ? std::next(it) : table.erase(it);
    }
}

void SimNames::settle_all() {
    for (Change& change : changes_) change.from_durable = change.to_durable = true;
    settle();
}

}  // namespace kv::io
