//! The bucket against a server that answers as it is told.

use aws_sdk_s3::config::{Config, Credentials, Region};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::INDEX_KEY;
use super::*;

#[tokio::test]
async fn a_body_that_does_not_end_ends_the_patience() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let _read = client.read(&mut [0; 8192]).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 1000000\r\n\r\nx").await.unwrap();
        // Until the reader hangs up.
        let _ended = client.read(&mut [0; 1]).await;
    });
    let config = Config::builder()
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .build();
    let cache = Cache { client: Client::from_conf(config), bucket: "b".into(), time: Duration::from_millis(300) };
    let error = cache.fetch(INDEX_KEY, None, 1 << 20).await.unwrap_err();
    assert!(error.to_string().contains("no whole answer within 300 ms"), "{error}");
    server.await.unwrap();
}
