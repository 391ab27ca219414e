//! Every size and count limit of the project, each with its reason.
//!
//! Limits are constants, not options: they protect the functions' memory and time, and a registry that
//! outgrows one of them needs another design, not a bigger number.

use std::time::Duration;

/// Largest file taken from a registry repository, in bytes. Stacks hold text and small archives; a
/// Lambda function of 512 MB keeps a whole tree of them in memory.
pub const FILE_BYTES: u64 = 8 << 20;

/// Most files in the tree of a registry repository: five files a version for 10,000 versions.
pub const TREE_FILES: usize = 50_000;

/// Largest icon, in bytes. Those of published stacks are below 100 KiB.
pub const ICON_BYTES: u64 = 512 << 10;

/// Most bytes of the files of one stack or sample: one that is too large is quarantined, and no other.
pub const FOLDER_BYTES: u64 = 32 << 20;

/// Most bytes in the tree of a registry repository. They are in memory while a release is made, in a function of 512 MB.
pub const TREE_BYTES: u64 = 128 << 20;

/// Largest answer of the API of a Git host, in bytes: those about a repository or a token take a few KB, a comment comes back as text and
/// as HTML.
pub const HOST_ANSWER_BYTES: usize = 1 << 20;

/// Largest manifest that is read, in bytes: as large as every OCI registry has to take one (OCI distribution specification 1.1,
/// "Pushing Manifests").
pub const MANIFEST_BYTES: u64 = 4 << 20;

/// Largest `index.json` of an OCI image layout, in bytes: 250,000 tags. A refresh writes that of the index artifact anew four times, and
/// adds one to three tags to it. Unit tests write it in full.
pub const LAYOUT_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// Longest name of a key in KMS, in characters (Amazon ECR API, `EncryptionConfiguration`).
pub const KMS_KEY_CHARS: usize = 2048;

/// Most tags of a repository in Amazon ECR ("Tagging a private repository in Amazon ECR").
pub const ECR_TAGS: usize = 50;

/// Longest key of such a tag, in characters.
pub const ECR_TAG_KEY_CHARS: usize = 128;

/// Longest value of such a tag, in characters.
pub const ECR_TAG_VALUE_CHARS: usize = 256;

/// Largest devfile, in bytes. The largest published ones are below 20 KiB.
pub const DEVFILE_BYTES: usize = 1 << 20;

/// Most bytes of the devfiles of a registry together: their texts are in the documents of a release, and those in memory. Devfiles of
/// 10,000 versions take 20 MB.
pub const DEVFILES_BYTES: u64 = 64 << 20;

/// Deepest nesting of a YAML document that becomes a typed value; the parser recurses.
pub const YAML_DEPTH: usize = 100;

/// Deepest nesting of a devfile. Devfiles nest below 12 levels, their free-form attributes may go deeper; code that walks
/// the tree recurses, and a thread's stack takes ten times as much.
pub const DEVFILE_DEPTH: usize = 500;

/// Most YAML nodes of one document, aliases followed.
pub const YAML_NODES: usize = 100_000;

/// Most bytes of scalars that a YAML document may expand to, aliases followed.
pub const YAML_SCALAR_BYTES: usize = 4 << 20;

/// Most devfiles that one devfile takes something from, each counted as often as it is named: parents and plugins name others,
/// so a few small files can ask for millions of readings.
pub const FLATTENED_FILES: usize = 100;

/// Most bytes of those devfiles together, for they are in memory at once.
pub const FLATTENED_BYTES: usize = 512 << 10;

/// Most nodes of the flattened parents that a check keeps for other devfiles; one takes about 100 bytes. Parents beyond that are
/// flattened for each devfile that names them.
pub const FLAT_PARENTS_NODES: usize = 200_000;

/// Most bytes of text in those nodes.
pub const FLAT_PARENTS_BYTES: usize = 8 << 20;

/// Longest `uri`, `id`, `version` or `registryUrl` of a parent or plugin, in bytes: longer ones are no addresses, and a valid devfile with one
/// would be published as it is.
pub const REFERENCE_BYTES: usize = 4 << 10;

/// Longest message or hint of a problem, in bytes: a paragraph, even when a repository has long names.
pub const DIAGNOSTIC_TEXT_BYTES: usize = 400;

/// Most bytes that variables may add to the texts of one devfile: a devfile of a few bytes a variable expands a thousandfold.
pub const EXPANDED_BYTES: usize = 4 << 20;

/// Most problems that a release carries and a report lists: enough to act on, too few to fill a log.
pub const REPORTED_PROBLEMS: usize = 200;

/// Most problems of all that is quarantined that a release carries, shared among the stacks and versions; each has one at least, and
/// [`STACK_WARNINGS`] at most. Refresh, the checker and the log say more; `serve` has all of these in memory.
pub const QUARANTINE_PROBLEMS: usize = 5_000;

/// Most warnings that a release carries of one stack. Each stack is counted by itself, so that a stack that is not read again
/// keeps its own.
pub const STACK_WARNINGS: usize = 10;

/// Largest word of a refresh that is read back, in bytes: it names up to [`REPORTED_PROBLEMS`] problems of each part.
pub const LAST_REFRESH_BYTES: u64 = 1 << 20;

/// Largest list of pending subjects with their next attempts, in bytes: those of ten thousand stacks take 1 MB.
pub const PENDING_BYTES: u64 = 4 << 20;

/// Largest list of the artifacts that an unfinished publication has pushed, in bytes: 10,000 versions take about 2 MB.
pub const PROGRESS_BYTES: u64 = 32 << 20;

/// Largest `index.json`, and most bytes of the documents of a release together, that are read back: 10,000 versions take about 25 MB.
pub const RELEASE_BYTES: u64 = 128 << 20;

/// Stacks that share a document of a release, on average and at most: some 200 KB, which is read and written as fast as nothing.
/// Unit tests have small registries, and shards all the same.
pub const SHARD_STACKS: usize = if cfg!(test) { 2 } else { 64 };

/// Releases that are kept in the bucket for rollbacks and readers, besides all of the last hour: weeks of a busy registry. Unit tests
/// make few, and prune all the same.
pub const KEPT_RELEASES: usize = if cfg!(test) { 3 } else { 20 };

/// Age of a release that is no longer live until it may be removed, in seconds. A reader moves on within seconds; a frozen function that wakes
/// up later revalidates first.
pub const KEPT_SECONDS: i64 = 3600;

/// Time for which a zip of a starter project stays in a folder of `STORE`, in seconds: 180 days, as in the bucket of `template.yaml`. It is made
/// again when somebody asks for it.
pub const KEPT_STARTER_SECONDS: i64 = 180 * 24 * 3600;

/// Time of a prune, in seconds. It removes objects in the first half; the calls that are under way then end in the second.
pub const PRUNE_SECONDS: i64 = 120;

/// Most previews at a time. One more ends the oldest: each keeps a release in the bucket.
pub const LIVING_PREVIEWS: usize = if cfg!(test) { 3 } else { 50 };

/// Time after its last push at which a preview ends, in seconds: 14 days.
pub const PREVIEW_SECONDS: i64 = 14 * 24 * 3600;

/// Time for which the mark of a closed proposal stays, in seconds: a day. Lambda delivers an event again for six hours at most.
pub const WITHDRAWN_SECONDS: i64 = 24 * 3600;

/// Largest object that names a preview, in bytes: the names of [`LISTED_CHANGES`] parts of each kind take 100 KB.
pub const PREVIEW_BYTES: u64 = 1 << 20;

/// Previews in the memory of `serve`, each of which takes as much as the live release.
pub const LOADED_PREVIEWS: usize = 8;

/// Most recent releases that `index.json` lists, in a storm of commits: 30 KB.
pub const LISTED_RELEASES: usize = 200;

/// Most changed or removed parts that `index.json` and `/status` name; the report names all.
pub const LISTED_CHANGES: usize = 500;

/// Most changed, new or removed parts that `index.json` names of each recent release: a release that changes more is an overhaul, whose single
/// parts are no news. Of [`LISTED_RELEASES`] in a storm of commits these are 12,000 names at most: 400 KB at the usual 30 bytes, 3.2 MB where
/// stack and version have [`ENTRY_NAME_BYTES`] each.
pub const HISTORY_CHANGES: usize = 20;

/// Most versions whose tags one run of the schedule compares with the OCI registry: a call each, and registries count calls. A
/// larger registry is gone through in a few runs.
pub const COMPARED_VERSIONS: usize = 1000;

/// Most blobs that one run of the schedule compares with the OCI registry, for the same reason: those of a hundred stacks at once, of
/// 10,000 versions within four hours.
pub const COMPARED_BLOBS: usize = 1000;

/// Most blobs of the bucket that one run of the schedule compares with their digests: so many that were written lately, and so many
/// others. S3 charges for each call. A larger registry takes several runs.
pub const CHECKED_BLOBS: usize = 250;

/// Most bytes of those blobs: a few seconds of reading.
pub const CHECKED_BYTES: u64 = 64 << 20;

/// Time between the last push of an invocation in AWS Lambda and its end. It is for the checks after going live (a third each), the
/// stored outcome, the status at the commit, and the next invocation.
pub const REPORT_TIME_LAMBDA: Duration = Duration::from_secs(15);

/// The same for an HTTP request, whose caller waits for 25 s only. A status at the commit that takes longer ends with that wait.
pub const REPORT_TIME_HTTP: Duration = Duration::from_secs(4);

/// Shortest time of pushing after which an invocation without progress is the fault of the OCI registry: some tries of a call.
/// Fetching and building a large release, or polling for a commit, may leave less.
pub const STALL_TIME: Duration = Duration::from_secs(10);

/// Uploads under way at a time. More gains nothing on one connection pool and trips registries' limits.
pub const CONCURRENT_UPLOADS: usize = 16;

/// Fetches of icons, samples and the like under way at a time. Most are of one host, which answers that many without complaint.
pub const CONCURRENT_FETCHES: usize = 32;

/// Most redirects of one fetch: from an old address to a new one, and from there to where files are kept.
pub const REDIRECTS: usize = 5;

/// Longest path that `serve` reads, in bytes, percent-encoded as it came. A path in a Git repository has at most 4096 bytes; pages
/// repeat a path, and looking for names like it takes time.
pub const PATH_BYTES: usize = 8 << 10;

/// Most connections of a server in plain HTTP at a time: half of the 1024 file descriptors that a process usually may have. The others
/// are for stores and other hosts.
pub const CONNECTIONS: usize = 512;

/// Largest head of a request in plain HTTP, in bytes, which is also the read buffer of a connection: those of all [`CONNECTIONS`]
/// take 32 MiB at most. It has room for a query of [`QUERY_BYTES`] and several times the headers of browsers.
pub const REQUEST_HEAD_BYTES: usize = 64 << 10;

/// Longest query string that `serve` reads, in bytes.
pub const QUERY_BYTES: usize = 8 << 10;

/// Longest name of a stack or sample, in bytes: it is a component of a repository name in the OCI registry and a segment of URLs.
pub const ENTRY_NAME_BYTES: usize = 128;

/// Most targets of `OPEN_IN`: each is a link on the page of a stack, and these fill a row on a phone.
pub const OPEN_TARGETS: usize = 8;

/// Longest name of such a target, in characters: it is the text of a link.
pub const OPEN_TARGET_NAME_CHARS: usize = 40;

/// Longest template of such a target, in bytes: the page of each stack repeats it.
pub const OPEN_TARGET_BYTES: usize = 1000;

/// Most picked values of a list of the viewer, over all facets. Every one of them has links that repeat all the others.
pub const PICKED_VALUES: usize = 20;

/// Largest page of the viewer, in bytes: twice as much, in base64 or with quotes escaped, still fits into a Lambda answer of 6 MB.
pub const PAGE_BYTES: usize = 2 << 20;

/// Bytes that a request may compress, parse or search on the thread that serves its connection: 2 ms of a slow processor. More goes
/// to a thread of its own.
pub const INLINE_BYTES: usize = 32 << 10;

/// Bodies above this leave AWS Lambda compressed if the client accepts it, in bytes: an answer ends at 6 MB, and one of JSON
/// grows by a quarter when its quotation marks are escaped.
pub const COMPRESSED_ABOVE_BYTES: usize = 1 << 20;

/// Most requests that wait for one of the threads that do longer work; further ones get 503. At 10 ms each the last waits for
/// seconds, and clients give up.
pub const WAITING_REQUESTS: usize = 1024;

/// Most bytes of files that all pages hold while they are rendered: 16 comparisons of 2 MiB, or 256 READMEs of 128 KiB, in a sixteenth of a
/// Lambda function of 512 MB. Further pages wait.
pub const PAGE_FILES_BYTES: u64 = 32 << 20;

/// Longest line of the log, in bytes. Up to 8192 lines wait in memory; those of requests take 400 bytes.
pub const LOG_LINE_BYTES: usize = 16 << 10;

/// Longest text of a client or another server in the log, in bytes.
pub const LOGGED_TEXT_BYTES: usize = 512;

/// Largest request body that `refresh` reads, in bytes.
pub const REQUEST_BODY_BYTES: usize = 1 << 20;

/// Largest body of a webhook, in bytes: all that an invocation of AWS Lambda has room for. Hosts name each commit of a push with
/// its files, so a merge of months of work is this long.
pub const WEBHOOK_BYTES: usize = 6 << 20;

/// Most bytes of request bodies that `refresh` has in memory at a time, those of strangers included: a signature can be checked only
/// over the whole body. GitHub sends a few at a time; a Lambda function of 512 MB has room for the work beside them.
pub const REQUEST_BODIES_BYTES: usize = 16 << 20;

/// Blobs above this size are answered with a redirect to the bucket, in bytes: a Lambda answer ends at 6 MB.
pub const REDIRECT_BYTES: u64 = 4 << 20;

/// Most bytes of blobs that `serve` keeps in memory: four files of [`FILE_BYTES`], or all archives of a registry of a hundred
/// versions many times over, in a sixteenth of a Lambda function of 512 MB.
pub const BLOB_MEMORY_BYTES: u64 = 32 << 20;

/// Most bytes of icons that `serve` keeps in memory: a thousand icons of the usual size.
pub const ICON_MEMORY_BYTES: u64 = 16 << 20;

/// Most bytes of data URIs in an answer to `icon=base64`; icons beyond stay URLs. It has room for all that [`ICON_MEMORY_BYTES`] allows,
/// each icon once.
pub const ICON_DATA_BYTES: usize = 24 << 20;

/// Most bytes of documents that `serve` reads of earlier releases, for clients that have begun to pull from them: a hundred changes
/// of a large registry.
pub const RECENT_RELEASES_BYTES: u64 = 16 << 20;

/// Most damaged blobs that `/status` lists: the schedule repairs all of them.
pub const LISTED_DAMAGES: usize = 20;

/// Blobs that `serve` reads at a time when it loads a release. More gains nothing on one connection pool.
pub const CONCURRENT_READS: usize = 16;

/// Largest starter project, in bytes, packed: as it is fetched, and as it is given.
pub const STARTER_BYTES: u64 = 100 << 20;

/// Most bytes that a starter project may unpack to. Packing them anew takes some ten seconds of a Lambda function's
/// processor, the share of a request.
pub const STARTER_UNPACKED_BYTES: u64 = 256 << 20;

/// Most files and folders of a starter project: their names are in memory while it is packed.
pub const STARTER_ENTRIES: usize = 50_000;

/// Most bytes of the names of a starter project's files together, for the same reason.
pub const STARTER_NAMES_BYTES: usize = 8 << 20;

/// Most memory for reading one object of a Git repository, in bytes: a file that is stored as a change of another takes twice
/// its size and the size of the change, so files of [`FILE_BYTES`] fit in any packing by the host.
pub const GIT_OBJECT_BYTES: usize = 40 << 20;

/// Most bytes of versions in other Git repositories that one refresh reads, together and unpacked: they are in memory at once,
/// beside the tree of the registry repository.
pub const UPSTREAM_BYTES: u64 = 64 << 20;

/// Packs of upstream repositories under way at a time. Each takes disk, and [`GIT_OBJECT_BYTES`] of memory while it is read.
pub const CONCURRENT_PACKS: usize = 4;

/// Largest pack of a registry repository, or of its history, in bytes: a registry of 10,000 versions takes 6 MB.
pub const PACK_BYTES: u64 = 64 << 20;

/// Largest answer of a Git host about its references, in bytes.
pub const GIT_ANSWER_BYTES: u64 = 1 << 20;

/// Most bytes of small starter projects that `serve` keeps in memory.
pub const STARTER_MEMORY_BYTES: u64 = 16 << 20;
