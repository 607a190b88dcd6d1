package computetest

import "strings"

// demand is what instances of a type take of the quotas, by metric. Spot ones
// count against PREEMPTIBLE quotas, which the region has its own limits for.
func demand(t machineType, gpus int, gpuType string, spot bool) map[string]float64 {
	prefix := ""
	if spot {
		prefix = "PREEMPTIBLE_"
	}
	needs := map[string]float64{prefix + "CPUS": float64(t.cpus)}
	if t.gpus > 0 {
		gpus, gpuType = t.gpus, t.accelerator
	}
	if gpus > 0 {
		needs[prefix+gpuMetric(gpuType)] = float64(gpus)
	}
	return needs
}

// gpuMetric is the quota's name of a GPU: NVIDIA_T4_GPUS for nvidia-tesla-t4.
func gpuMetric(gpuType string) string {
	name := strings.ReplaceAll(strings.TrimPrefix(gpuType, "nvidia-"), "tesla-", "")
	return "NVIDIA_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_GPUS"
}

// usage is what the living instances of a region, or of all, take.
func (s *Server) usage(region string) map[string]float64 {
	taken := map[string]float64{}
	for _, in := range s.instances {
		if in.gone || in.status == statusTerminated {
			continue
		}
		if region == "" {
			taken["CPUS_ALL_REGIONS"] += float64(in.machineType.cpus)
			taken["GPUS_ALL_REGIONS"] += float64(in.gpus)
		} else if in.zone.region == region {
			for metric, amount := range in.demand {
				taken[metric] += amount
			}
		}
	}
	return taken
}

func (s *Server) quotas(region string) []object {
	taken := s.usage(region)
	var all []object
	for _, metric := range sortedKeys(s.world.quotas[region]) {
		all = append(all, object{"metric": metric, "limit": s.world.quotas[region][metric], "usage": taken[metric]})
	}
	return all
}

// overQuota is the error of an instance too many; nil while there is room.
func (s *Server) overQuota(region string, needs map[string]float64) *operationError {
	taken := s.usage(region)
	for _, metric := range sortedKeys(needs) {
		if limit, ok := s.world.quotas[region][metric]; ok && taken[metric]+needs[metric] > limit {
			return quotaError(metric, region, limit)
		}
	}
	everywhere, gpus := s.usage(""), 0.0
	for metric, amount := range needs {
		if strings.HasSuffix(metric, "_GPUS") {
			gpus += amount
		}
	}
	const metric = "GPUS_ALL_REGIONS"
	if limit, ok := s.world.quotas[""][metric]; ok && gpus > 0 && everywhere[metric]+gpus > limit {
		return quotaError(metric, "", limit)
	}
	return nil
}

func quotaError(metric, region string, limit float64) *operationError {
	where, dimensions := " in region "+region, object{"region": region}
	scope := "-per-project-region"
	if region == "" {
		where, dimensions, scope = " globally", object{"global": "global"}, "-per-project"
	}
	return &operationError{
		code:    "QUOTA_EXCEEDED",
		message: "Quota '" + metric + "' exceeded.  Limit: " + formatLimit(limit) + where + ".",
		details: []object{{"quotaInfo": object{
			"metricName": "compute.googleapis.com/" + strings.ToLower(metric), "limitName": strings.ReplaceAll(metric, "_", "-") + scope,
			"dimensions": dimensions, "limit": limit,
		}}},
	}
}
