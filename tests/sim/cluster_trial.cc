#include "tests/sim/cluster_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tests/support/linearizability.h"
#include "tests/support/swarm_knobs.h"

namespace kv::sim {

namespace {

constexpr std::uint16_t cores_max = 3;
constexpr std::uint64_t check_steps_max = 5'000'000;
constexpr std::size_t operations_per_key = 170;
constexpr std::uint32_t first_pipeline = 1000;  // of their numbers
constexpr std::size_t requests_of_pipelines = 700;
/// What a cluster may take beyond ten election timeouts: connections that fell silent are noticed
/// after 3 s, and the next attempt to connect may be 2 s away.
constexpr Duration recovery_base = 5s;
/// What is under way when the weather clears may take this long.
constexpr Duration weather_max = 5s;
constexpr Duration first_election_max = 60s;
constexpr Duration laggards_max = 60s;

constexpr std::array<std::string_view, 7> names = {"calm",   "swarm",    "partitions", "disks",
                                                   "clocks", "restarts", "storm"};
constexpr std::uint32_t storm_faults_max = 30;  // of a class
constexpr Duration storm_longest = 4s;

bool has(Profile profile, FaultClass fault_class) noexcept {
    switch (profile) {
        case Profile::calm: return false;
        case Profile::swarm: return true;  // those that the plan has
        case Profile::partitions:
            return fault_class == FaultClass::partitions || fault_class == FaultClass::links;
        case Profile::disks:
            return fault_class == FaultClass::disks || fault_class == FaultClass::power ||
                   fault_class == FaultClass::errors || fault_class == FaultClass::rot;
        case Profile::clocks:
            return fault_class == FaultClass::clocks || fault_class == FaultClass::pauses;
        case Profile::restarts:
            return fault_class == FaultClass::crashes || fault_class == FaultClass::power;
        case Profile::storm: return fault_class != FaultClass::clocks;
    }
    KV_UNREACHABLE("a profile");
}

/// Whether a healthy majority can be held to have leaders all the time: not where any message, turn
/// or sync may take longer than a leader may be silent.
bool fair(const io::SimKnobs& weather, Duration silence) {
    const auto harmless = [&](std::uint32_t per_million, Duration longest) {
        return per_million == 0 || longest * 2 <= silence;
    };
    const io::SimNetworkKnobs& network = weather.network;
    return harmless(network.tail_per_million, network.tail.max) &&
           harmless(weather.core.stall_per_million, weather.core.stall.max) &&
           harmless(weather.disk.tail_per_million, weather.disk.tail.max) &&
           network.blackhole_per_million == 0 &&
           (network.bytes_per_second == 0 || network.bytes_per_second >= 4'000'000);
}

FaultPlan faults_of(std::uint64_t seed, Profile profile, const FaultKnobs& knobs) {
    const FaultProfile all =
        profile == Profile::swarm ? FaultProfile::swarm : FaultProfile::everything;
    FaultPlan plan = make_fault_plan(seed, all, knobs);
    for (std::size_t i = 0; i < fault_classes; ++i) {
        const auto fault_class = static_cast<FaultClass>(i);
        if (!has(profile, fault_class)) plan = plan.without(fault_class);
    }
    return plan;
}

class Trial {
public:
    Trial(const TrialPlan& plan, bool trace)
        : plan_(plan),
          prng_(Prng::split(plan.seed, "trial")),
          cluster_(plan.cluster),
          player_(cluster_.world, plan.faults, cluster_) {
        cluster_.trace = trace;
    }
    ~Trial() {
        cluster_.clients().kill();
        users_.clear();
        pipelines_.clear();
    }

    TrialResult run() {
        live();
        TrialResult out;
        if (!cluster_.wrong()) check_history(out);
        if (const auto& wrong = cluster_.wrong()) {
            out.oracle = wrong->oracle;
            out.text = wrong->text;
            out.at = wrong->at;
        }
        out.events.assign(cluster_.events().begin(), cluster_.events().end());
        out.ended = cluster_.world.now();
        out.faults = player_.played();
        out.cluster = cluster_.counters();
        for (const auto& user : users_) {
            const ClusterClient::Counters& one = user->counters();
            out.clients.requests += one.requests;
            out.clients.answered += one.answered;
            out.clients.redirects += one.redirects;
            out.clients.refused += one.refused;
            out.clients.unknown += one.unknown;
        }
        out.events_handled = cluster_.world.events();
        out.trace_hash = cluster_.world.trace_hash();
        return out;
    }

private:
    Duration recovery_max() const {
        return plan_.cluster.config.raft.election_timeout * 10 + recovery_base;
    }
    bool failed() const { return cluster_.wrong().has_value(); }

    void live() {
        cluster_.start_all();
        const bool weather_fair =
            fair(plan_.cluster.knobs, plan_.cluster.config.raft.election_timeout);
        if (!cluster_.await_leaders(first_election_max) && weather_fair)
            return cluster_.complain("liveness", "no leaders at the beginning");
        for (std::uint32_t i = 0; i < plan_.clients; ++i) add_client();
        for (const auto& user : users_) cluster_.clients().reactor().spawn(user->run());
        for (std::uint32_t i = 0; i < plan_.pipelines; ++i) add_pipeline();
        player_.begin();
        if (weather_fair) cluster_.watch(&player_, recovery_max());
        for (const Fault& fault : plan_.faults.faults) {
            const std::string text = fault.text();
            cluster_.world.at(cluster_.world.now() + fault.at,
                              [this, text] { cluster_.note(text); });
        }
        static_cast<void>(cluster_.play_until([&] { return failed() || player_.healed(); },
                                              plan_.faults.knobs.duration + 1s));
        if (!failed()) recover();
        if (!failed()) finish();
    }

    /// After the heal: leaders and answers everywhere, soon.
    void recover() {
        cluster_.note("healed");
        cluster_.calm();
        const Instant end = player_.heal_time() + weather_max + recovery_max();
        const auto left = [&] { return std::max(end - cluster_.world.now(), Duration(1)); };
        if (!cluster_.await_leaders(left()))
            return cluster_.complain("liveness", "no leaders after the heal");
        ClusterClient& prober = add_client();
        std::optional<bool> answered;
        cluster_.clients().reactor().spawn(read_all(&prober, left(), &answered));
        static_cast<void>(cluster_.play_until([&] { return answered.has_value(); }, left() + 1s));
        if (!answered.value_or(false))
            cluster_.complain("liveness", "not every key was answered after the heal");
    }

    /// Everybody catches up; what is there is what was written.
    void finish() {
        for (const auto& user : users_) user->stop();
        for (const auto& user : pipelines_) user->stop();
        cluster_.play(5s);
        if (!cluster_.settle(laggards_max))
            return cluster_.complain("liveness", "somebody does not catch up");
        cluster_.check_logs();
        cluster_.check_nothing_lost();
        ClusterClient& reader = add_client();
        std::optional<bool> answered;
        cluster_.clients().reactor().spawn(read_all(&reader, 10s, &answered));
        static_cast<void>(cluster_.play_until([&] { return answered.has_value(); }, 10min));
        if (!answered.value_or(false))
            cluster_.complain("nothing lost", "not every key can be read at the end");
        for (const auto& user : users_) {
            if (!user->complaint().empty()) cluster_.complain("protocol", user->complaint());
        }
        for (const auto& user : pipelines_) {
            if (!user->complaint().empty()) cluster_.complain("protocol", user->complaint());
        }
    }

    void check_history(TrialResult& out) {
        const test::CheckReport report = test::check(history_, {.steps_max = check_steps_max});
        out.operations = report.operations;
        out.keys = report.keys;
        out.undecided = report.undecided.size();
        if (!report.wrong.empty()) cluster_.complain("linearizability", report.drawing);
    }

    ClusterClient& add_client() {
        ClusterClientPlan plan = plan_.client;
        plan.client = static_cast<std::uint32_t>(users_.size() + 1);
        const auto clock = [this] { return cluster_.world.now().time_since_epoch().count(); };
        const auto on_put = [this](std::string_view key, std::string_view value) {
            cluster_.acknowledged(key, value);
        };
        users_.push_back(std::make_unique<ClusterClient>(cluster_.clients().reactor(),
                                                         cluster_.endpoints(), history_, clock,
                                                         plan, prng_.next(), on_put));
        return *users_.back();
    }

    void add_pipeline() {
        PipelineClientPlan plan = plan_.pipeline;
        plan.client = first_pipeline + static_cast<std::uint32_t>(pipelines_.size());
        plan.slot = plan.client % plan_.client.hot_slots;
        plan.patience *= 1 << (plan.client % 4);
        const auto clock = [this] { return cluster_.world.now().time_since_epoch().count(); };
        io::Reactor& reactor = cluster_.clients().reactor();
        pipelines_.push_back(std::make_unique<PipelineClient>(
            reactor, cluster_.endpoints(), history_, clock, plan,
            Prng::split(plan_.seed, "pipeline", plan.client).next()));
        reactor.spawn(pipelines_.back()->send());
        reactor.spawn(pipelines_.back()->receive());
    }

    static io::Task<void> read_all(ClusterClient* client, Duration limit,
                                   std::optional<bool>* answered) {
        const bool all = co_await client->read_all(limit);
        *answered = all;
    }

    const TrialPlan plan_;
    Prng prng_;
    SimCluster cluster_;
    test::History history_;
    std::vector<std::unique_ptr<ClusterClient>> users_;
    std::vector<std::unique_ptr<PipelineClient>> pipelines_;
    FaultPlayer player_;
};

}  // namespace

std::string_view name(Profile profile) noexcept {
    return names[static_cast<std::size_t>(profile)];
}

std::optional<Profile> parse_profile(std::string_view name) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) return static_cast<Profile>(i);
    }
    return std::nullopt;
}

TrialPlan::TrialPlan(std::uint64_t s, Profile p, std::uint16_t nodes) : seed(s), profile(p) {
    Prng prng = Prng::split(seed, "cluster plan");
    cluster.seed = seed;
    cluster.nodes = prng.chance(0.7) ? 3 : 5;
    if (nodes != 0) cluster.nodes = nodes;
    cluster.cores = static_cast<std::uint16_t>(prng.between(1, cores_max));
    cluster.shards = static_cast<std::uint16_t>(prng.between(2, 8));
    const bool storm = profile == Profile::storm;
    if (profile == Profile::swarm || storm) cluster.knobs = swarm_knobs(seed);
    cluster.config = cluster_config();
    cluster.config.commit_timeout = Duration(std::int64_t{250'000'000} << prng.below(4));
    if (prng.chance(0.4)) cluster.config.snapshot.interval_entries = prng.between(20, 400);
    FaultKnobs knobs;
    for (std::uint16_t i = 1; i <= cluster.nodes; ++i) knobs.nodes.push_back(NodeId(i));
    knobs.clients = {SimCluster::client_node};
    knobs.duration = Duration(1s) * static_cast<std::int64_t>(prng.between(20, 60));
    knobs.longest = storm ? storm_longest : knobs.duration / 2;
    if (storm) knobs.class_faults_max = storm_faults_max;
    knobs.cores_max = cores_max;
    if (Prng::split(seed, "rot plan").chance(0.5)) knobs.rots_max = (cluster.nodes - 1u) / 2;
    faults = faults_of(seed, profile, knobs);
    clients = static_cast<std::uint32_t>(prng.between(2, 10));
    client.keys = prng.between(8, 24);
    client.timeout = Duration(std::int64_t{200'000'000} << prng.below(4));
    // So that a key has some hundreds of operations in the end.
    client.pause_max = knobs.duration * 2 * static_cast<std::int64_t>(clients) /
                       static_cast<std::int64_t>(client.keys * operations_per_key);
    Prng hot = Prng::split(seed, "pipeline plan");
    pipelines = static_cast<std::uint32_t>(hot.between(2, 4));
    pipeline.pause_max = knobs.duration * 4 * static_cast<std::int64_t>(pipelines) /
                         static_cast<std::int64_t>(requests_of_pipelines);
    pipeline.patience = Duration(std::int64_t{250'000'000} << hot.below(3));
    client.hot_slots = pipelines / 2;
}

TrialResult run_trial(const TrialPlan& plan, bool trace) {
    return Trial(plan, trace).run();
}

}  // namespace kv::sim
