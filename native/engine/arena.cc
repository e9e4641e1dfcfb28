#include "engine/arena.h"

#include <algorithm>
#include <numeric>

namespace laconic::engine {

namespace {

constexpr std::size_t ALIGNMENT = 64;

std::size_t rounded(std::size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

bool together(const Tenant& a, const Tenant& b) { return a.born <= b.dies && b.born <= a.dies; }

// The start of the smallest gap of at least `bytes` between neighbours that are sorted by place.
std::size_t smallest_gap(const std::vector<const Tenant*>& neighbours, std::size_t bytes) {
  std::size_t best = 0, best_size = 0, end = 0;
  bool found = false;
  for (const Tenant* neighbour : neighbours) {
    if (neighbour->place >= end + bytes && (!found || neighbour->place - end < best_size)) {
      found = true;
      best = end;
      best_size = neighbour->place - end;
    }
    end = std::max(end, neighbour->place + rounded(neighbour->bytes));
  }
  return found ? best : end;
}

}  // namespace

std::size_t place_tenants(std::vector<Tenant>& tenants) {
  std::vector<std::size_t> order(tenants.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tenants[a].bytes > tenants[b].bytes;
  });
  std::vector<const Tenant*> placed;  // sorted by place
  std::size_t total = 0;
  for (std::size_t index : order) {
    Tenant& tenant = tenants[index];
    std::vector<const Tenant*> neighbours;
    for (const Tenant* other : placed) {
      if (together(tenant, *other)) neighbours.push_back(other);
    }
    tenant.place = smallest_gap(neighbours, rounded(tenant.bytes));
    total = std::max(total, tenant.place + rounded(tenant.bytes));
    const auto after =
        std::upper_bound(placed.begin(), placed.end(), &tenant,
                         [](const Tenant* a, const Tenant* b) { return a->place < b->place; });
    placed.insert(after, &tenant);
  }
  return total;
}

}  // namespace laconic::engine
