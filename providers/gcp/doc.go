// Package gcp is the provider for Google Compute Engine. It keeps nothing that a
// restart would lose: instances are found again by their labels, and why they
// ended by the operations of their zone.
//
// # The calls it makes
//
// Compute's REST API, v1, by cloud.google.com/go/compute/apiv1. P, R, Z stand
// for project, region and zone. An instance is always named by its numeric id
// in the path, never by its name, so that a name used again is no danger.
//
//	Regions.Get             P, R                        zones, quotas
//	Projects.Get            P                           Check: identity and project
//	Networks.Get            P, network                  Check
//	Subnetworks.Get         P, R, subnetwork            Check
//	Images.GetFromFamily    image project, family       Check; an image by family
//	Images.Get              image project, image        Check; an image by name
//	MachineTypes.List       P, Z, maxResults=500, pageToken
//	AcceleratorTypes.List   P, Z, maxResults=500, pageToken
//	RegionInstances.BulkInsert  P, R, requestId, body:
//	    count, minCount=1
//	    perInstanceProperties{name: {}}   the names are made from the token;
//	                                      one that exists is answered with 409
//	    locationPolicy{locations{"zones/Z": {preference: ALLOW|DENY}},
//	                   targetShape: ANY}   each zone of the region is named
//	    instanceFlexibilityPolicy{instanceSelections{"rank-N":
//	        {machineTypes: [...], rank: N}}}   with more than one type, else
//	    instanceProperties.machineType
//	    instanceProperties{labels, metadata{items[startup-script, ...]},
//	        disks[boot, autoDelete, initializeParams{sourceImage, diskType,
//	        diskSizeGb, labels}], networkInterfaces[network | subnetwork,
//	        accessConfigs[ONE_TO_ONE_NAT] with an external address],
//	        serviceAccounts[email, scopes], tags, guestAccelerators,
//	        scheduling{provisioningModel SPOT|STANDARD,
//	        instanceTerminationAction DELETE, onHostMaintenance
//	        TERMINATE|MIGRATE, automaticRestart false, maxRunDuration{seconds},
//	        preemptionNoticeDuration{seconds}}}
//	RegionOperations.Wait   P, R, operation             until it is DONE
//	Instances.List          P, Z, filter, maxResults=500, pageToken, header
//	                        X-Goog-FieldMask; returnPartialSuccess is left
//	                        false, and a warning in the answer is an error
//	    filter  (labels.KEY="VALUE") AND (labels.KEY="VALUE") ...
//	            (id=N) OR (id=N) ...      50 at most
//	Instances.Get           P, Z, id
//	Instances.Delete        P, Z, id, requestId
//	Instances.GetSerialPortOutput   P, Z, id, port=1, start=-65536
//	Instances.SimulateMaintenanceEvent  P, Z, id, requestId
//	ZoneOperations.List     P, Z, filter, maxResults=500, pageToken
//	    filter  (targetId=N) OR (targetId=N) ...      50 at most
//	            (operationGroupId="G") AND (operationType="insert")
//
// What is read of an operation: name, operationType, operationGroupId, targetId,
// targetLink, user, clientOperationId (the requestId it was asked with), status,
// statusMessage, insertTime, startTime, endTime, error.errors[].code, message
// and errorDetails[].quotaInfo, httpErrorStatusCode,
// instancesBulkInsertOperationMetadata.perLocationStatus.
//
// The Cloud Billing catalogue, v1, by google.golang.org/api/cloudbilling/v1:
//
//	services/6F81-5844-456A/skus   currencyCode=USD, pageSize=5000, pageToken
//
// An instance ends itself (Leave) with, from the metadata service, instance/id,
// instance/zone, project/project-id, instance/service-accounts/default/token and
// instance/attributes/spotrelay-endpoint (404 but for another endpoint), and
// then DELETE .../projects/P/zones/Z/instances/ID?requestId=... with that token.
//
// # Ids
//
// An instance's id is "zone.name.number": all that is needed to find its
// operations once it is gone.
package gcp
