#include "io/sim/sim_file.h"

#include <algorithm>

namespace kv::io {

namespace {

/// Calls `visit(offset, bytes)` for the parts of a write that the hardware keeps whole.
template <typename Visit>
void for_each_unit(std::uint64_t offset, Bytes from, std::uint64_t unit_bytes, Visit visit) {
    while (!from.empty()) {
        const std::uint64_t room = unit_bytes - offset % unit_bytes;
        const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(room, from.size()));
        visit(offset, from.first(bytes));
        offset += bytes;
        from = from.subspan(bytes);
    }
}

std::uint64_t units(std::uint64_t offset, std::size_t bytes, std::uint64_t unit_bytes) {
    return (offset + bytes + unit_bytes - 1) / unit_bytes - offset / unit_bytes;
}

}  // namespace

void SimFile::apply(SimContent& content, const Change& change) {
    if (change.data.empty()) {
        if (content.size() < change.offset) content.resize(change.offset);
    } else {
        content.write(change.offset, change.data);
    }
}

SimFile::Change* SimFile::find(std::uint64_t change) noexcept {
    if (change < first_change_ || change - first_change_ >= changes_.size()) return nullptr;
    return &changes_[static_cast<std::size_t>(change - first_change_)];
}

std::uint64_t SimFile::push(Change change) {
    changes_.push_back(std::move(change));
    return first_change_ + changes_.size() - 1;
}

void SimFile::settle() {
    while (!changes_.empty() && changes_.front().durable) {
        apply(base_, changes_.front());
        changes_.pop_front();
        ++first_change_;
    }
}

SimContent SimFile::durable() const {
    SimContent content = base_;
    for (const Change& change : changes_) {
        if (change.durable) apply(content, change);
    }
    return content;
}

std::size_t SimFile::read_durable(std::uint64_t offset, MutableBytes to) const noexcept {
    const auto is_durable = [](const Change& change) { return change.durable; };
    if (std::none_of(changes_.begin(), changes_.end(), is_durable)) return base_.read(offset, to);
    return durable().read(offset, to);
}

std::uint64_t SimFile::write(std::uint64_t offset, Bytes from, bool durable) {
    if (from.empty()) return 0;
    visible_.write(offset, from);
    if (durable && changes_.empty()) {
        base_.write(offset, from);
        return 0;
    }
    Change change;
    change.offset = offset;
    change.data.assign(from.begin(), from.end());
    change.durable = durable;
    return push(std::move(change));
}

std::uint64_t SimFile::extend(std::uint64_t bytes) {
    if (bytes <= visible_.size()) return 0;
    visible_.resize(bytes);
    Change change;
    change.offset = bytes;
    return push(std::move(change));
}

void SimFile::acknowledge(std::uint64_t change, std::uint64_t clock) noexcept {
    if (Change* found = find(change)) found->acknowledged = clock;
}

void SimFile::sync(std::uint64_t clock, Prng& prng) {
    for (Change& change : changes_) {
        if (change.durable || change.abandoned) continue;
        const bool covered = change.acknowledged != 0 && change.acknowledged < clock;
        change.durable = covered || prng.below(2) == 0;
    }
    settle();
}

void SimFile::fail_sync() noexcept {
    for (Change& change : changes_) {
        if (!change.durable) change.abandoned = true;
    }
}

void SimFile::write_some(std::uint64_t offset, Bytes from, std::uint64_t unit_bytes, Prng& prng) {
    enum : std::uint64_t { nothing, everything, front, any, outcomes };
    const std::uint64_t outcome = prng.below(outcomes);
    if (outcome == nothing) return;
    std::uint64_t left = units(offset, from.size(), unit_bytes);
    if (outcome == front) left = prng.below(left + 1);
    for_each_unit(offset, from, unit_bytes, [&](std::uint64_t at, Bytes unit) {
        if (outcome == any && prng.below(2) == 0) return;
        if (left == 0) return;
        --left;
        write(at, unit, false);
    });
}

void SimFile::crash_process() noexcept {
    // The next process finds all of it in the page cache: its first sync covers it.
    for (Change& change : changes_)
        change.acknowledged = std::max<std::uint64_t>(change.acknowledged, 1);
    lock_holder = 0;
    opens = 0;
}

/// Any of the sectors, or the new size without them.
void SimFile::tear(SimContent& content, const Change& change, Prng& prng) {
    const std::uint64_t end = change.offset + change.data.size();
    const bool size_first = prng.below(2) == 0;
    if (size_first && content.size() < end) content.resize(end);
    const std::uint64_t keep_of_4 = prng.below(4);
    for_each_unit(change.offset, change.data, sim_sector_bytes, [&](std::uint64_t at, Bytes unit) {
        if (prng.below(4) < keep_of_4) content.write(at, unit);
    });
}

void SimFile::apply_front(SimContent& content, const Change& change, Prng& prng) {
    std::uint64_t left = prng.below(units(change.offset, change.data.size(), sim_sector_bytes) + 1);
    for_each_unit(change.offset, change.data, sim_sector_bytes, [&](std::uint64_t at, Bytes unit) {
        if (left == 0) return;
        --left;
        content.write(at, unit);
    });
}

void SimFile::lose_power(SimLoss loss, Prng& prng) {
    lock_holder = 0;
    opens = 0;
    if (changes_.empty()) return;  // then what is visible is durable
    const auto is_volatile = [](const Change& change) { return !change.durable; };
    const auto count =
        static_cast<std::uint64_t>(std::count_if(changes_.begin(), changes_.end(), is_volatile));
    std::uint64_t keep = loss == SimLoss::tail ? prng.below(count + 1) : 0;
    bool cut = loss == SimLoss::tail && prng.below(2) == 0;
    for (const Change& change : changes_) {
        if (change.durable) {
            apply(base_, change);
            continue;
        }
        switch (loss) {
            case SimLoss::everything: break;
            case SimLoss::tail:
                if (keep > 0) {
                    --keep;
                    if (!change.abandoned) apply(base_, change);
                } else if (cut) {
                    cut = false;
                    if (!change.abandoned) apply_front(base_, change, prng);
                }
                break;
            case SimLoss::any: {
                const std::uint64_t outcome = prng.below(3);
                if (outcome == 1) apply(base_, change);
                if (outcome == 2) tear(base_, change, prng);
                break;
            }
            case SimLoss::nothing:
                if (!change.abandoned) apply(base_, change);
                break;
        }
    }
    first_change_ += changes_.size();
    changes_.clear();
    visible_ = base_;
}

void SimFile::overwrite(std::uint64_t offset, Bytes from) {
    for (Change& change : changes_) change.durable = true;
    settle();
    visible_.write(offset, from);
    base_.write(offset, from);
}

void SimFile::truncate(std::uint64_t bytes) {
    for (Change& change : changes_) change.durable = true;
    settle();
    visible_.resize(bytes);
    base_.resize(bytes);
}

}  // namespace kv::io
