//! The bucket at an S3 server.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::presigning::PresigningConfig;
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;

use super::calls::{InContext, RetryConflicts, explain, status, within, write_time};
use super::{Bucket, ByteStream, CacheError, ETag, Expect, Fetched, Object, Opened, Stat, Written};
use crate::context;

/// For objects that are named by their content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The time limits and retries of calls.
#[derive(Debug, Clone, Copy)]
pub enum RetryPolicy {
    /// For readers: a request waits for the answer.
    Reader,
    /// For writers: completion matters more than speed.
    Writer,
}

impl RetryPolicy {
    /// Tries, the time for one try, and for all of them.
    fn limits(self) -> (u32, Duration, Duration) {
        match self {
            Self::Reader => (2, Duration::from_secs(2), Duration::from_secs(5)),
            Self::Writer => (4, Duration::from_secs(15), Duration::from_secs(40)),
        }
    }
}

/// The position of a bucket's name in the URLs of its objects. Servers other than S3 have no host name for each bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addressing {
    Host,
    Path,
}

/// A bucket.
#[derive(Clone)]
pub struct S3Bucket {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    /// For one attempt of a call.
    attempt: Duration,
    /// For all attempts, and for reading an object, its body included.
    time: Duration,
}

impl fmt::Debug for S3Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Bucket").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl S3Bucket {
    /// Takes a bucket, with endpoint, region and credentials from the environment as the AWS SDK finds them.
    pub async fn from_env(bucket: impl Into<String>, policy: RetryPolicy) -> Self {
        let is_aws = std::env::var_os("AWS_ENDPOINT_URL_S3").is_none();
        let addressing = if is_aws { Addressing::Host } else { Addressing::Path };
        Self::load(aws_config::from_env(), bucket, policy, addressing).await
    }

    /// The same at another endpoint.
    pub async fn at(endpoint: &str, bucket: impl Into<String>, policy: RetryPolicy) -> Self {
        Self::load(aws_config::from_env().endpoint_url(endpoint), bucket, policy, Addressing::Path).await
    }

    async fn load(
        loader: aws_config::ConfigLoader,
        bucket: impl Into<String>,
        policy: RetryPolicy,
        addressing: Addressing,
    ) -> Self {
        let shared = loader.load().await;
        Self::new(Builder::from(&shared).force_path_style(addressing == Addressing::Path), bucket, policy)
    }

    /// Takes a bucket with a client of this configuration.
    fn new(config: Builder, bucket: impl Into<String>, policy: RetryPolicy) -> Self {
        let (tries, one, all) = policy.limits();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(one)
            .operation_timeout(all)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(tries);
        let config = config
            .retry_config(retries)
            .timeout_config(timeouts)
            .interceptor(InContext)
            .retry_classifier(RetryConflicts)
            .build();
        Self { client: Client::from_conf(config), bucket: bucket.into(), attempt: one, time: all }
    }

    /// Reads an object of at most `limit` bytes unless it is in the known state.
    ///
    /// # Errors
    /// [`CacheError`] when the bucket does not answer, refuses, or the object is larger.
    pub async fn fetch(&self, key: &str, known: Option<&ETag>, limit: u64) -> Result<Fetched, CacheError> {
        self.in_time(key, async {
            match self.ask(key, known, limit).await {
                Ok(output) => Ok(Fetched::Found(self.read(key, output, limit).await?)),
                Err(answer) => answer,
            }
        })
        .await
    }

    /// The client's own time ends with the headers of an answer.
    async fn in_time<T>(
        &self,
        key: &str,
        reading: impl Future<Output = Result<T, CacheError>>,
    ) -> Result<T, CacheError> {
        tokio::time::timeout(self.time, reading).await.unwrap_or_else(|_| {
            let reason = format!("no whole answer within {} ms", self.time.as_millis());
            Err(self.error(format!("read {key}"), reason))
        })
    }

    async fn read(&self, key: &str, output: GetObjectOutput, limit: u64) -> Result<Object, CacheError> {
        let failed = |reason: String| self.error(format!("read {key}"), reason);
        let length = output.content_length.unwrap_or_default().max(0) as u64;
        let etag = ETag(output.e_tag.ok_or_else(|| failed("the answer has no ETag".into()))?);
        let mut body = output.body;
        // The announced bytes need not come.
        let mut bytes = BytesMut::with_capacity(length.min(limit) as usize);
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| failed(DisplayErrorContext(error).to_string()))?);
            if bytes.len() as u64 > limit {
                return Err(failed(format!("it has more than the {limit} bytes that are read")).because_too_large());
            }
        }
        Ok(Object { bytes: bytes.freeze(), etag })
    }

    /// Asks for an object unless it is in the known state; the error is the answer when there is none.
    async fn ask(
        &self,
        key: &str,
        known: Option<&ETag>,
        limit: u64,
    ) -> Result<GetObjectOutput, Result<Fetched, CacheError>> {
        let failed = |reason: String| self.error(format!("read {key}"), reason);
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let sent = request.set_if_none_match(known.map(|etag| etag.0.clone())).send().await;
        let output = sent.map_err(|error| match (status(&error), error.as_service_error()) {
            (Some(304), _) => Ok(Fetched::NotModified),
            (_, Some(GetObjectError::NoSuchKey(_))) => Ok(Fetched::Absent),
            (Some(404), Some(reason)) if reason.code() != Some("NoSuchBucket") => Ok(Fetched::Absent),
            _ => Err(failed(explain(error))),
        })?;
        let length = output.content_length.unwrap_or_default().max(0) as u64;
        if length > limit {
            let reason = format!("it has {length} bytes, more than the {limit} that are read");
            return Err(Err(failed(reason).because_too_large()));
        }
        Ok(output)
    }

    /// Reads the bytes from `first` to `last` of an object, piece by piece.
    ///
    /// # Errors
    /// [`CacheError`] when the bucket does not answer, or has no such object.
    pub async fn stream(&self, key: &str, first: u64, last: u64) -> Result<ByteStream, CacheError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let sent = request.range(format!("bytes={first}-{last}")).send().await;
        let output = sent.map_err(|error| self.error(format!("read {key}"), explain(error)))?;
        let range = output.content_range.unwrap_or_default();
        if !range.starts_with(&format!("bytes {first}-{last}/")) {
            let reason = format!("the server answered the range `{range}` in place of bytes {first}-{last}");
            return Err(self.error(format!("read {key}"), reason));
        }
        Ok(output.body)
    }

    /// Writes an object from a file, which is not read into memory, within a time and the time that its bytes need.
    pub(crate) async fn upload(
        &self,
        key: &str,
        file: &Path,
        media_type: &str,
        time: Duration,
    ) -> Result<(), CacheError> {
        let failed = |reason: String| self.error(format!("write {key}"), reason);
        let body = ByteStream::from_path(file).await.map_err(|error| failed(error.to_string()))?;
        let size = tokio::fs::metadata(file).await.map_err(|error| failed(error.to_string()))?.len();
        let time = write_time(size, time);
        let limits = within(time, time)
            // A checksum at the end of a stream changes its encoding, which some servers store along.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        let request = self.client.put_object().bucket(&self.bucket).key(key).body(body);
        let request = request.content_type(media_type).cache_control(IMMUTABLE);
        let sent = request.customize().config_override(limits).send().await;
        self.written(key, sent.map_err(|error| failed(explain(error)))?.e_tag)?;
        Ok(())
    }

    /// The configuration of a write from memory, whose time grows with its size.
    fn time_for(&self, length: usize) -> Builder {
        let size = length as u64;
        within(write_time(size, self.attempt), write_time(size, self.time))
    }

    /// The state that an object has after a write. An answer without one is of something else than an S3 server.
    fn written(&self, key: &str, etag: Option<String>) -> Result<ETag, CacheError> {
        let missing = || self.error(format!("write {key}"), "the server answered 200 without an ETag".to_owned());
        etag.map(ETag).ok_or_else(missing)
    }

    /// A URL from which anybody can read an object for a while, with the `Content-Disposition` that the answer is to have.
    pub(crate) async fn presign_as(
        &self,
        key: &str,
        valid: Duration,
        disposition: Option<&str>,
    ) -> Result<String, CacheError> {
        let failed = |reason: String| self.error(format!("sign a URL for {key}"), reason);
        let config = PresigningConfig::expires_in(valid).map_err(|error| failed(error.to_string()))?;
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let request = request.set_response_content_disposition(disposition.map(str::to_owned));
        let signed = request.presigned(config).await.map_err(|error| failed(explain(error)))?;
        Ok(signed.uri().to_owned())
    }

    pub(crate) fn error(&self, operation: String, reason: String) -> CacheError {
        CacheError::new(format!("the cache bucket {}", self.bucket), operation, reason)
    }
}

impl Bucket for S3Bucket {
    async fn open(&self, key: &str, limit: u64) -> Result<Option<Opened<'_>>, CacheError> {
        match self.ask(key, None, limit).await {
            Ok(output) => {
                let key = key.to_owned();
                Ok(Some(Box::pin(async move { self.in_time(&key, self.read(&key, output, limit)).await })))
            }
            Err(Ok(_)) => Ok(None),
            Err(Err(error)) => Err(error),
        }
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>, CacheError> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(found) if found.e_tag.is_none() => {
                Err(self.error(format!("check {key}"), "the server answered 200 without an ETag".to_owned()))
            }
            Ok(found) => Ok(Some(stat(found.content_length, found.last_modified))),
            Err(error) if error.as_service_error().is_some_and(|reason| reason.is_not_found()) => Ok(None),
            Err(error) => Err(self.error(format!("check {key}"), explain(error))),
        }
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, Stat>, CacheError> {
        let mut objects = BTreeMap::new();
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.error(format!("list {prefix}"), explain(error)))?;
            for object in page.contents.unwrap_or_default() {
                if let Some(key) = object.key {
                    objects.insert(key, stat(object.size, object.last_modified));
                }
            }
        }
        Ok(objects)
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        match self.client.delete_object().bucket(&self.bucket).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(self.error(format!("remove {key}"), explain(error))),
        }
    }

    async fn put(&self, key: &str, bytes: Bytes) -> Result<(), CacheError> {
        let length = bytes.len();
        let request = self.client.put_object().bucket(&self.bucket).key(key).body(bytes.into());
        let request = request.content_type(content_type(key)).cache_control(IMMUTABLE);
        match request.customize().config_override(self.time_for(length)).send().await {
            Ok(output) => {
                self.written(key, output.e_tag)?;
                context::count_bytes(length);
                Ok(())
            }
            Err(error) => Err(self.error(format!("write {key}"), explain(error))),
        }
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<(), CacheError> {
        self.upload(key, file, content_type(key), self.time).await?;
        let written = tokio::fs::metadata(file).await.map_or(0, |metadata| metadata.len());
        context::count_bytes(written as usize);
        Ok(())
    }

    async fn get_file(&self, key: &str, limit: u64, into: &Path) -> Result<bool, CacheError> {
        let mut body = match self.ask(key, None, limit).await {
            Ok(output) => output.body,
            Err(Ok(_)) => return Ok(false),
            Err(Err(error)) => return Err(error),
        };
        let failed = |reason: String| self.error(format!("read {key}"), reason);
        let mut file = tokio::fs::File::create(into).await.map_err(|error| failed(error.to_string()))?;
        let mut read = 0_u64;
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
            read = read.saturating_add(part.len() as u64);
            if read > limit {
                return Err(failed(format!("it has more than the {limit} bytes that are read")));
            }
            file.write_all(&part).await.map_err(|error| failed(error.to_string()))?;
        }
        file.flush().await.map_err(|error| failed(error.to_string()))?;
        Ok(true)
    }

    async fn put_if(&self, key: &str, bytes: Bytes, expect: Expect) -> Result<Written, CacheError> {
        let length = bytes.len();
        let has_state = matches!(expect, Expect::State(_));
        let request = self.client.put_object().bucket(&self.bucket).key(key).body(bytes.into());
        let request = match expect {
            Expect::Absent => request.if_none_match("*"),
            Expect::State(etag) => request.if_match(etag.0),
            Expect::Anything => request,
        };
        let request = request.content_type(content_type(key)).cache_control("no-cache");
        match request.customize().config_override(self.time_for(length)).send().await {
            Ok(output) => {
                context::count_bytes(length);
                Ok(Written::Done(self.written(key, output.e_tag)?))
            }
            // 409 is S3's answer when two conditional writes meet, here again and again.
            Err(error) if matches!(status(&error), Some(409 | 412)) => Ok(Written::Lost),
            // The status of `If-Match` when the object is gone.
            Err(error) if has_state && status(&error) == Some(404) && error.code() != Some("NoSuchBucket") => {
                Ok(Written::Lost)
            }
            Err(error) => Err(self.error(format!("write {key}"), explain(error))),
        }
    }
}

/// An object without a time counts as written now, because old ones may be removed.
fn stat(size: Option<i64>, modified: Option<aws_sdk_s3::primitives::DateTime>) -> Stat {
    let modified = modified.and_then(|time| jiff::Timestamp::from_second(time.secs()).ok());
    Stat {
        size: size.unwrap_or_default().max(0).unsigned_abs(),
        modified: modified.unwrap_or_else(jiff::Timestamp::now),
    }
}

fn content_type(key: &str) -> &'static str {
    if key.ends_with(".json") { "application/json" } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests;
